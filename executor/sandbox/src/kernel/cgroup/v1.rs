//! cgroup v1: one directory per controller, each with its own dialect.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::limits::Limits;
use super::own::Groups;
use super::usage::{Accounting, ResourceUsage, keyed, number};

/// Period of the CPU quota; the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;

/// Folders of the controllers that runs use, in which groups can be made.
#[derive(Debug, Clone)]
pub(super) struct Controllers {
    pub(super) memory: PathBuf,
    pub(super) pids: PathBuf,
    cpu: PathBuf,
    /// Often the same directory as `cpu`.
    cpuacct: Option<PathBuf>,
    blkio: Option<PathBuf>,
}

impl Controllers {
    /// Limits need memory, pids and cpu; without the others some usage stays unknown.
    pub(super) fn find(root: &Path, own: &Groups) -> io::Result<Self> {
        let find = |name: &str| {
            let path = own.of_controller(root, name);
            path.join("cgroup.procs").exists().then(|| fs::canonicalize(path)).transpose()
        };
        let need = |name: &str| {
            find(name)?.ok_or_else(|| {
                let text = format!("no {name} controller under {} (neither cgroup v2 nor v1)", root.display());
                io::Error::new(io::ErrorKind::NotFound, text)
            })
        };
        Ok(Self {
            memory: need("memory")?,
            pids: need("pids")?,
            cpu: need("cpu")?,
            cpuacct: find("cpuacct")?,
            blkio: find("blkio")?,
        })
    }

    /// `path` in every hierarchy, each once.
    pub(super) fn directories(&self, path: &Path) -> Vec<PathBuf> {
        let mut roots = vec![&self.memory, &self.pids, &self.cpu];
        roots.extend(self.cpuacct.iter().chain(&self.blkio).filter(|root| **root != self.cpu));
        roots.into_iter().map(|root| root.join(path)).collect()
    }
}

pub(super) fn limit(controllers: &Controllers, path: &Path, limits: Limits) -> io::Result<()> {
    let memory = controllers.memory.join(path);
    fs::write(memory.join("memory.limit_in_bytes"), limits.memory_bytes.to_string())?;
    // Memory plus swap; absent when the kernel does not account swap.
    let with_swap = memory.join("memory.memsw.limit_in_bytes");
    if with_swap.exists() {
        fs::write(with_swap, limits.memory_bytes.to_string())?;
    }
    fs::write(controllers.pids.join(path).join("pids.max"), limits.pids.to_string())?;
    let cpu = controllers.cpu.join(path);
    let quota_us = u64::from(limits.cpu_millis) * CPU_PERIOD_US / 1000;
    fs::write(cpu.join("cpu.cfs_period_us"), CPU_PERIOD_US.to_string())?;
    fs::write(cpu.join("cpu.cfs_quota_us"), quota_us.to_string())
}

pub(super) fn accounting(controllers: &Controllers, path: &Path) -> Accounting {
    let memory = controllers.memory.join(path);
    let cpu_ms = |file: &str| Some(number(&controllers.cpuacct.as_ref()?.join(path).join(file))? / 1_000_000);
    let read = |root: &PathBuf| fs::read_to_string(root.join(path).join("blkio.throttle.io_service_bytes")).ok();
    let cpu = fs::read_to_string(controllers.cpu.join(path).join("cpu.stat")).unwrap_or_default();
    let usage = ResourceUsage {
        cpu_user_ms: cpu_ms("cpuacct.usage_user"),
        cpu_system_ms: cpu_ms("cpuacct.usage_sys"),
        cpu_throttled_ms: keyed(&cpu, "throttled_time").map(|ns| ns / 1_000_000),
        memory_peak_bytes: number(&memory.join("memory.max_usage_in_bytes")),
        io_read_bytes: controllers.blkio.as_ref().and_then(read).map(|text| read_bytes(&text)),
        // v1 charges buffered writes to the root group: whatever is here, it is not what the run wrote.
        io_write_bytes: None,
        pids_peak: number(&controllers.pids.join(path).join("pids.peak")),
    };
    let oom = fs::read_to_string(memory.join("memory.oom_control")).unwrap_or_default();
    Accounting { usage, oom_kills: keyed(&oom, "oom_kill").unwrap_or(0) }
}

/// Sum over the devices of `MAJOR:MINOR Read BYTES`.
fn read_bytes(text: &str) -> u64 {
    text.lines().filter_map(|line| line.split_once(" Read ")?.1.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_devices() {
        let text = "254:0 Read 4096\n254:0 Write 8192\n254:0 Total 12288\n8:0 Read 100\nTotal 12388\n";
        assert_eq!(read_bytes(text), 4196);
        assert_eq!(read_bytes("Total 0\n"), 0);
    }
}
