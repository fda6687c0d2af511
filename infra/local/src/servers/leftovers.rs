//! Processes that an earlier supervisor left behind: found by evidence that is theirs alone, ended without ever
//! touching a stranger that happens to have an old pid.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::LocalError;
use super::home::Home;
use super::process::MARK;
use super::procfs::{self, ProcessId};
use super::secrets::{remove_if_present, write_file};

const POLL: Duration = Duration::from_millis(10);
const KILL_WITHIN: Duration = Duration::from_secs(10);

/// The record of the main process: start times count from boot, so the boot is part of the identity.
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    process: ProcessId,
    boot: String,
}

pub(super) fn record(home: &Home, process: ProcessId) -> Result<(), LocalError> {
    let record = Record { process, boot: boot_id() };
    write_file(&home.dir.join("pid.json"), &serde_json::to_vec(&record).unwrap_or_default(), 0o644)
}

/// The recorded main process, if it is still that one.
fn recorded(home: &Home) -> Option<ProcessId> {
    let json = fs::read(home.dir.join("pid.json")).ok()?;
    let record: Record = serde_json::from_slice(&json).ok()?;
    (record.boot == boot_id() && record.process.is_alive()).then_some(record.process)
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Every live process of this service: the recorded one, all that inherited the mark in their environment, and all that
/// execute `program` inside the service's folder (PostgreSQL's workers overwrite their environment).
pub(super) fn find(home: &Home, program: &Path) -> Vec<ProcessId> {
    let mark = [MARK.as_bytes(), b"=", home.dir.as_os_str().as_encoded_bytes()].concat();
    let belongs = |pid: &u32| procfs::has_variable(*pid, &mark) || procfs::executes_below(*pid, program, &home.dir);
    let mut found: Vec<_> = procfs::pids().into_iter().filter(belongs).filter_map(ProcessId::of).collect();
    found.extend(recorded(home));
    found.sort();
    found.dedup();
    found
}

/// Ends all remaining processes: the main process gets `signal` and `within`, then the others get SIGKILL.
pub(super) async fn end(home: &Home, program: &Path, signal: Signal, within: Duration) -> Result<(), LocalError> {
    let mut left = find(home, program);
    if !left.is_empty() {
        let main = recorded(home);
        let addressed = main.map_or_else(|| left.clone(), |main| vec![main]);
        tracing::info!(service = home.service, ?left, "ending what still runs");
        for process in &addressed {
            send(*process, signal);
        }
        let deadline = Instant::now() + within;
        while addressed.iter().any(|process| process.is_alive()) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }
    let deadline = Instant::now() + KILL_WITHIN;
    loop {
        left = find(home, program);
        if left.is_empty() {
            let path = home.dir.join("pid.json");
            return remove_if_present(&path).map_err(LocalError::io("remove", &path));
        }
        if Instant::now() > deadline {
            let pids = left.iter().map(|process| process.pid).collect();
            return Err(LocalError::Unkillable { service: home.service, pids });
        }
        for process in left {
            send(process, Signal::KILL);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Sends a signal to this very process: the descriptor pins it, then its start time is compared.
pub(super) fn send(process: ProcessId, signal: Signal) {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(pinned) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if process.is_alive() {
        // It may have ended just now, as wanted.
        let _ = pidfd_send_signal(&pinned, signal);
    }
}
