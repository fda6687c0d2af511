//! A search for leaks: thousands of runs, many more concurrent ones than there are slots, then a look at the resources of the
//! executor and the machine, against those after a warm-up.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::system::{System, Upload};

/// Before the first look: pools and caches fill.
const WARM_UP_RUNS: usize = 500;
const COMMAND: &str = "echo hello";
/// Bound for memory, which is not a count: an allocator's reserve is not a leak, growth with the number of runs is.
const MEMORY_BYTES_PER_RUN: u64 = 1_000;
/// Looks on the way. Reserves have grown by half way, so memory is compared with that at half way.
const ROUNDS: usize = 10;

const MEMORY: &str = "memory, bytes";

type Held = BTreeMap<String, u64>;

/// Fails if something is left.
#[expect(clippy::print_stdout, reason = "a report for people")]
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) async fn measure(system: &System, runs: usize, at_once: usize) -> anyhow::Result<()> {
    system.throughput(1, COMMAND, Upload::Each).await?;
    system.follow(WARM_UP_RUNS, COMMAND, at_once).await?;
    let begun = Instant::now();
    let mut looks = vec![settled(system).await?];
    let round = runs.div_ceil(ROUNDS);
    for _ in 0..ROUNDS {
        system.follow(round, COMMAND, at_once).await?;
        looks.push(settled(system).await?);
    }
    let rate = (round * ROUNDS) as f64 / begun.elapsed().as_secs_f64();
    println!("{} runs, {at_once} under way at once: {rate:.1} a second; what is held before and after", round * ROUNDS);
    let mut leaks = Vec::new();
    for what in looks[0].keys() {
        let series: Vec<u64> = looks.iter().map(|held| held.get(what).copied().unwrap_or_default()).collect();
        let is_memory = what.ends_with(MEMORY);
        let (had, allowed) = if is_memory {
            (series[ROUNDS / 2], MEMORY_BYTES_PER_RUN * (round * (ROUNDS - ROUNDS / 2)) as u64)
        } else {
            (series[0], 0)
        };
        let has = series[ROUNDS];
        println!("  {what:<42} {:>12} {has:>12}", series[0]);
        if is_memory {
            let mib = series.iter().map(|bytes| format!("{:.1}", *bytes as f64 / f64::from(1 << 20)));
            println!("    MiB after each tenth: {}", mib.collect::<Vec<_>>().join(" "));
        }
        if has > had + allowed {
            leaks.push(format!("{what}: {had}, then {has}"));
        }
    }
    println!();
    anyhow::ensure!(leaks.is_empty(), "something is left: {}", leaks.join("; "));
    Ok(())
}

/// Connections and tasks of the last runs take a moment to go.
async fn settled(system: &System) -> anyhow::Result<Held> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let executor = system.pid_of("executor");
    let mut held = Held::new();
    let process = Path::new("/proc").join(executor.to_string());
    held.insert("executor: descriptors".to_owned(), entries(&process.join("fd")));
    held.insert("executor: children".to_owned(), children_of(executor));
    held.insert("executor: files in its work directory".to_owned(), files(&system.work_dir().join("runs")));
    held.insert("machine: mounts".to_owned(), lines("/proc/self/mountinfo"));
    held.insert("machine: control groups".to_owned(), folders(Path::new("/sys/fs/cgroup")));
    held.insert("machine: loop devices in use".to_owned(), loop_devices());
    held.insert("machine: processes of sandboxes".to_owned(), sandboxed());
    for name in ["executor", "ingest", "collector", "metering"] {
        held.insert(format!("{name}: {MEMORY}"), resident(system.pid_of(name)));
    }
    Ok(held)
}

fn entries(folder: &Path) -> u64 {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count() as u64)
}

fn lines(file: &str) -> u64 {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count() as u64)
}

fn walk(folder: &Path, count: &mut impl FnMut(&std::fs::DirEntry)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        count(&entry);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), count);
        }
    }
}

fn files(folder: &Path) -> u64 {
    let mut found = 0;
    walk(folder, &mut |_| found += 1);
    found
}

fn folders(folder: &Path) -> u64 {
    let mut found = 0;
    walk(folder, &mut |entry| found += u64::from(entry.file_type().is_ok_and(|kind| kind.is_dir())));
    found
}

fn loop_devices() -> u64 {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices.filter(|device| device.path().join("loop/backing_file").exists()).count() as u64
}

fn processes() -> impl Iterator<Item = (u32, String)> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, std::fs::read_to_string(entry.path().join("status")).ok()?))
    })
}

fn children_of(parent: u32) -> u64 {
    processes().filter(|(_, status)| field(status, "PPid:") == Some(u64::from(parent))).count() as u64
}

/// Processes of users that only slots have.
fn sandboxed() -> u64 {
    const FIRST_UID: u64 = 1_600_000;
    processes().filter(|(_, status)| field(status, "Uid:").is_some_and(|uid| uid >= FIRST_UID)).count() as u64
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    field(&status, "VmRSS:").unwrap_or_default() * 1024
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}
