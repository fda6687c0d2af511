//! The cost of evidence: requests to the store and CPU for each run, against bare conditional puts of as many bytes; and its
//! verification, against `sha256sum` of the same files.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::ensure;
use futures_util::{StreamExt as _, stream};
use testkit::Crownest;

use crate::bare::COMMAND;
use crate::cpu;
use crate::statistics::median;
use crate::system::{System, Upload};

/// Concurrent writes: as many as the collector makes.
const AT_ONCE: usize = 8;
/// Bundle, statement and event log of a small run have about this size each.
const OBJECT_BYTES: usize = 2048;
const ROUNDS: usize = 5;

pub(crate) async fn measure(system: &System, runs: usize, megabytes: u64) -> anyhow::Result<()> {
    sealing(system, runs).await?;
    verification(system, megabytes).await
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a report for people")]
async fn sealing(system: &System, runs: usize) -> anyhow::Result<()> {
    let puts = system.puts().await?;
    let collector = || cpu::of_process(system.pid_of("collector"));
    let before = collector();
    system.throughput(runs, COMMAND, Upload::Once).await?;
    system.all_logged().await?;
    let (per_run, millis) = ((system.puts().await? - puts) / runs as f64, (collector() - before) / runs as f64);

    // As many objects of about the same size, by the same client, and nothing else.
    let store = system.store();
    let body = bytes::Bytes::from(vec![b'x'; OBJECT_BYTES]);
    let before = cpu::of_process(std::process::id());
    let put = |number: usize| {
        let (store, body) = (&store, body.clone());
        async move { store.put_new(&format!("bench/{number}"), body, "application/json").await }
    };
    let put: Vec<_> = stream::iter(0..3 * runs).map(put).buffer_unordered(AT_ONCE).collect().await;
    ensure!(put.iter().all(Result::is_ok), "a bare put failed");
    let bare = (cpu::of_process(std::process::id()) - before) / runs as f64;

    println!("evidence of a run of `{COMMAND}` ({runs} runs)");
    println!("  PUTs per run, the evidence log's share included        {per_run:>6.2}");
    println!("  CPU of the collector, milliseconds                     {millis:>6.2}");
    println!("  CPU of three bare conditional PUTs, milliseconds       {bare:>6.2}");
    println!("  ratio                                                  {:>6.2}\n", millis / bare);
    Ok(())
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a report for people")]
async fn verification(system: &System, megabytes: u64) -> anyhow::Result<()> {
    // Text that does not compress well, so that there are many bytes to verify.
    let command = format!("head -c {megabytes}000000 /dev/urandom | base64 -w 100");
    system.seconds_to_sealed(&command).await?;
    let run = system.newest_run().await?;
    let folder = tempfile::tempdir()?;
    let saved = folder.path().join("saved");
    let saved = saved.to_string_lossy();
    let cli = Crownest::new()
        .with("CROWNEST_API_URL", &format!("http://{}", system.address()))
        .with("CROWNEST_API_KEY", system.key());
    cli.run(["evidence", "trust"]).await.expect(0);
    cli.run(["evidence", "export", &run, &saved]).await.expect(0);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        cli.run(["evidence", "verify", &saved]).await.expect(0);
        ours.push(begun.elapsed().as_secs_f64());
        theirs.push(sha256sum(Path::new(&*saved))?);
    }
    let size: u64 =
        std::fs::read_dir(&*saved)?.map(|entry| Ok(entry?.metadata()?.len())).sum::<std::io::Result<_>>()?;
    let rate = |seconds: &[f64]| size as f64 / 1e6 / median(seconds);
    println!("MB/s of stored evidence, a log of {:.0} MB (median of {ROUNDS})", size as f64 / 1e6);
    println!("  sha256sum                {:>8.1}", rate(&theirs));
    println!("  crownest evidence verify {:>8.1}", rate(&ours));
    println!("  ratio                    {:>8.3}\n", rate(&ours) / rate(&theirs));
    Ok(())
}

/// Seconds for all files of the folder.
fn sha256sum(folder: &Path) -> anyhow::Result<f64> {
    let files: Vec<_> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    let begun = Instant::now();
    let status = Command::new("sha256sum").args(files).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "sha256sum failed");
    Ok(begun.elapsed().as_secs_f64())
}
