//! The cost of the sandbox by itself, without the services: its start with everything on, a start on a cached archive, and
//! the first extraction of an archive, each against the plain tool in the same minute.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use executor::extraction::ExtractLimits;
use executor::trees::{CacheConfig, TreeCache, TreeKey};
use flate2::Compression;
use flate2::write::GzEncoder;
use sandbox::{DiskLimit, Limits, Network, Root, SandboxConfig, SandboxHost, SandboxSpec};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::bare;
use crate::statistics::{max, median, min};

const COMMAND: &str = "echo hello";
const STARTS: usize = 100;
/// Files of the extracted archive: about a checkout with its dependencies.
const FILES: usize = 4_000;
const FOLDERS: usize = 400;
const UID_BASE: u32 = 1_690_000;

#[expect(clippy::print_stdout, reason = "a report for people")]
pub(crate) async fn measure(rounds: usize) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("crownest-bench-").tempdir()?;
    let mut config = SandboxConfig::new(folder.path().join("work"));
    config.uid_base = Some(UID_BASE);
    config.disk = DiskLimit::Bytes(1 << 30);
    let host = SandboxHost::open(config).await?;
    let cache_config =
        CacheConfig { folder: folder.path().join("cache"), max_bytes: 1 << 30, limits: ExtractLimits::default() };
    let cache = TreeCache::open(cache_config)?;
    let (archive, bytes) = pack(folder.path())?;
    let key = TreeKey::new("bench", &"0".repeat(64)).context("a key")?;
    drop(cache.get(&key, async || anyhow::Ok(&archive)).await?);

    let plain = folder.path().join("plain");
    std::fs::create_dir_all(&plain)?;
    let (mut starts, mut warm, mut whole, mut extraction) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let mut bare = Times::default();
        let (mut ours, mut cached) = (Times::default(), Times::default());
        // In turn, since the machine's own speed changes from moment to moment.
        for number in 0..STARTS {
            bare.add(bare::to_end(COMMAND)?);
            ours.add(run(&host, &plain, &format!("plain-{round}-{number}"), Instant::now()).await?);
            let begun = Instant::now();
            let tree = cache.get(&key, async || anyhow::Ok(&archive)).await?;
            ensure!(tree.was_cached, "it was extracted before");
            cached.add(run(&host, tree.path(), &format!("cached-{round}-{number}"), begun).await?);
        }
        let cold = cold(folder.path(), &archive, round).await?;
        if round == 0 {
            // Caches fill.
            continue;
        }
        println!(
            "  round {round}, milliseconds to the first output and to the end: bare {bare}, sandbox {ours}, cached {cached}"
        );
        starts.push(ours.first / bare.first);
        warm.push(cached.first / ours.first);
        whole.push(ours.end / bare.end);
        extraction.push(cold);
    }
    let report = |name: &str, ratios: &[f64]| {
        println!("  {name:<58} {:>6.2}   (min {:.2}, max {:.2})", median(ratios), min(ratios), max(ratios));
    };
    println!("sandbox, as ratios (median of {rounds} rounds of {STARTS}, one at a time)");
    report("to the first output, everything on ÷ bare bubblewrap", &starts);
    report("the same on a cached archive ÷ on an empty folder", &warm);
    report("to the end with all clean-up ÷ bare bubblewrap", &whole);
    report("first extraction, MB/s ÷ `tar xzf`", &extraction);
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let megabytes = bytes as f64 / 1e6;
    println!("  (the archive: {FILES} files, {megabytes:.0} MB unpacked)\n");
    Ok(())
}

/// Sums of milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    first: f64,
    end: f64,
}

impl Times {
    fn add(&mut self, (first, end): (Duration, Duration)) {
        self.first += first.as_secs_f64() * 1000.0;
        self.end += end.as_secs_f64() * 1000.0;
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "a hundred")]
        let starts = STARTS as f64;
        write!(f, "{:.2} {:.2}", self.first / starts, self.end / starts)
    }
}

/// To the first output, and to the end of all clean-up: the bare one has nothing to clean up.
async fn run(host: &SandboxHost, lower: &Path, label: &str, begun: Instant) -> anyhow::Result<(Duration, Duration)> {
    let spec = SandboxSpec {
        label,
        slot: 1,
        lower,
        root: Root::Host,
        command: COMMAND.as_ref(),
        env: &[],
        limits: Limits::default(),
        network: Network::Nothing,
    };
    let mut sandbox = host.start(spec).await?;
    let mut stdout = sandbox.take_stdout().context("a stream")?;
    let mut text = vec![0];
    stdout.read_exact(&mut text).await?;
    let first = begun.elapsed();
    stdout.read_to_end(&mut text).await?;
    let exit = sandbox.wait().await?;
    ensure!(exit.exit_code == Some(0) && text == b"hello\n", "{exit:?}");
    sandbox.finish().await.cleanup?;
    Ok((first, begun.elapsed()))
}

/// Speed against GNU tar, which is told not to set owners either.
async fn cold(folder: &Path, archive: &Path, round: usize) -> anyhow::Result<f64> {
    let reference = |name: String| -> anyhow::Result<f64> {
        let target = folder.join(name);
        std::fs::create_dir(&target)?;
        let begun = Instant::now();
        let tar = Command::new("tar").args(["--no-same-owner", "-xzf"]).arg(archive).arg("-C").arg(&target).status()?;
        ensure!(tar.success(), "tar failed");
        let seconds = begun.elapsed().as_secs_f64();
        std::fs::remove_dir_all(&target)?;
        Ok(seconds)
    };
    let before = reference(format!("reference-{round}-0"))?;
    let config = CacheConfig {
        folder: folder.join(format!("cold-{round}")),
        max_bytes: 1 << 30,
        limits: ExtractLimits::default(),
    };
    let cache = TreeCache::open(config.clone())?;
    let key = TreeKey::new("bench", &"1".repeat(64)).context("a key")?;
    let begun = Instant::now();
    let tree = cache.get(&key, async || anyhow::Ok(archive)).await?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(!tree.was_cached, "it is new");
    drop((tree, cache));
    std::fs::remove_dir_all(config.folder)?;
    let after = reference(format!("reference-{round}-1"))?;
    Ok(f64::midpoint(before, after) / seconds)
}

/// A `.tar.gz` of files that compress as sources do, and what they have unpacked.
fn pack(folder: &Path) -> anyhow::Result<(PathBuf, u64)> {
    let path = folder.join("archive.tgz");
    let mut tar = tar::Builder::new(GzEncoder::new(std::fs::File::create(&path)?, Compression::default()));
    let mut bytes = 0;
    for number in 0..FILES {
        // Between 0.5 and 64 KiB, most of them small.
        let digest = Sha256::digest(number.to_le_bytes());
        let length = 512 << (usize::from(digest[0]) % 8);
        let line = format!("let value_{number} = lookup(\"{}\")?;\n", hex::encode(&digest[..6]));
        let content: Vec<u8> = line
            .bytes()
            .cycle()
            .zip(digest.iter().cycle())
            .map(|(byte, salt)| byte ^ (salt & 1))
            .take(length)
            .collect();
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, format!("src/folder-{}/file-{number}.rs", number % FOLDERS), &content[..])?;
        bytes += content.len() as u64;
    }
    tar.into_inner()?.finish()?;
    Ok((path, bytes))
}
