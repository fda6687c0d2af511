//! cgroup v2: one directory per run in the unified hierarchy.
use std::fs;
use std::io;
use std::path::Path;

use super::limits::Limits;
use super::usage::{Accounting, ResourceUsage, keyed, number};

const ATTEMPTS: usize = 100;
/// The group into which an executor without privilege moves itself.
pub(super) const SUPERVISOR: &str = "crownest-supervisor";
const CPU_PERIOD_US: u64 = 100_000;
/// Controllers without which a run would not be limited.
const NEEDED: [&str; 3] = ["memory", "pids", "cpu"];
/// The controller that counts I/O; a host works without it.
const WANTED: &str = "io";

/// Empties a group of processes, because a group has either processes or groups with controllers. Its processes (this one,
/// and others of its user) move to a group beside those of the runs.
pub(super) fn make_room(folder: &Path) -> io::Result<()> {
    let room = folder.join(SUPERVISOR);
    match fs::create_dir(&room) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Others may come while this goes on.
    for _ in 0..ATTEMPTS {
        let processes = fs::read_to_string(folder.join("cgroup.procs"))?;
        if processes.is_empty() {
            return Ok(());
        }
        for pid in processes.lines() {
            match fs::write(room.join("cgroup.procs"), pid) {
                // It has ended.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                moved => moved?,
            }
        }
    }
    Err(io::Error::other("processes come faster than they can be moved"))
}

/// Makes `parent` and switches the controllers on in every directory down to it.
pub(super) fn delegate(root: &Path, parent: &Path) -> io::Result<()> {
    fs::create_dir_all(root.join(parent))?;
    let mut directory = root.to_owned();
    for component in parent.components().map(Some).chain([None]) {
        let control = directory.join("cgroup.subtree_control");
        for controller in NEEDED {
            fs::write(&control, format!("+{controller}")).map_err(|error| {
                let text = format!(
                    "cannot enable the {controller} controller in {}: {error} (under systemd, set Delegate=yes and \
                     a cgroup parent without processes of its own)",
                    control.display()
                );
                io::Error::new(error.kind(), text)
            })?;
        }
        let _ = fs::write(&control, format!("+{WANTED}"));
        if let Some(component) = component {
            directory.push(component);
        }
    }
    Ok(())
}

pub(super) fn limit(directory: &Path, limits: Limits) -> io::Result<()> {
    fs::write(directory.join("memory.max"), limits.memory_bytes.to_string())?;
    let swap = directory.join("memory.swap.max");
    if swap.exists() {
        fs::write(swap, "0")?;
    }
    fs::write(directory.join("pids.max"), limits.pids.to_string())?;
    let quota_us = u64::from(limits.cpu_millis) * CPU_PERIOD_US / 1000;
    fs::write(directory.join("cpu.max"), format!("{quota_us} {CPU_PERIOD_US}"))
}

pub(super) fn accounting(directory: &Path) -> Accounting {
    let text = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
    let (cpu, io_stat) = (text("cpu.stat"), fs::read_to_string(directory.join("io.stat")).ok());
    let io_sum = |key: &str| io_stat.as_deref().map(|text| sum(text, key));
    let usage = ResourceUsage {
        cpu_user_ms: keyed(&cpu, "user_usec").map(|us| us / 1000),
        cpu_system_ms: keyed(&cpu, "system_usec").map(|us| us / 1000),
        cpu_throttled_ms: keyed(&cpu, "throttled_usec").map(|us| us / 1000),
        memory_peak_bytes: number(&directory.join("memory.peak")),
        io_read_bytes: io_sum("rbytes="),
        io_write_bytes: io_sum("wbytes="),
        pids_peak: number(&directory.join("pids.peak")),
    };
    Accounting { usage, oom_kills: keyed(&text("memory.events"), "oom_kill").unwrap_or(0) }
}

/// Sum over the devices of `io.stat`, whose lines are `MAJOR:MINOR key=value …`.
fn sum(text: &str, key: &str) -> u64 {
    text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let directory = tempfile::tempdir().unwrap();
        let files = [
            (
                "cpu.stat",
                "usage_usec 3500\nuser_usec 2100\nsystem_usec 1400\nnr_periods 9\nnr_throttled 4\nthrottled_usec 7700\n",
            ),
            ("memory.peak", "1048576\n"),
            ("memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n"),
            ("io.stat", "259:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:0 rbytes=1 wbytes=2\n"),
            ("pids.peak", "5\n"),
        ];
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let accounting = accounting(directory.path());
        assert_eq!(accounting.oom_kills, 1);
        assert_eq!(
            accounting.usage,
            ResourceUsage {
                cpu_user_ms: Some(2),
                cpu_system_ms: Some(1),
                cpu_throttled_ms: Some(7),
                memory_peak_bytes: Some(1_048_576),
                io_read_bytes: Some(4097),
                io_write_bytes: Some(8194),
                pids_peak: Some(5),
            }
        );
    }

    /// In the kernel's own hierarchy, which needs no controllers for that.
    #[test]
    fn moves_what_is_in_the_way() {
        let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let root = hierarchies.into_iter().find(|root| root.join("cgroup.controllers").exists()).expect("cgroup v2");
        let folder = root.join(format!("crownest-test-room-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let mut process = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(folder.join("cgroup.procs"), process.id().to_string()).unwrap();
        for _ in 0..2 {
            make_room(&folder).unwrap();
            let members = |folder: &Path| fs::read_to_string(folder.join("cgroup.procs")).unwrap();
            let moved = format!("{}\n", process.id());
            assert_eq!((members(&folder), members(&folder.join(SUPERVISOR))), (String::new(), moved));
        }
        process.kill().unwrap();
        process.wait().unwrap();
        for group in [folder.join(SUPERVISOR), folder] {
            fs::remove_dir(group).unwrap();
        }
    }

    #[test]
    fn writes_limits() {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { memory_bytes: 1 << 20, pids: 9, cpu_millis: 1500 };
        limit(directory.path(), limits).unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(
            (read("memory.max"), read("pids.max"), read("cpu.max")),
            ("1048576".into(), "9".into(), "150000 100000".into())
        );
    }
}
