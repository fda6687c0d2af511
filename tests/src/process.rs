//! Services as processes of their own, to be killed without warning.

use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// A program of this workspace, in the build folder that this test comes from.
pub fn program(name: &str) -> PathBuf {
    let current = std::env::current_exe().expect("this program has a path");
    let folders = current.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: run `cargo build --workspace` first"))
}

/// A program that `infra/setup.sh --test` installs: where it puts it as root, else wherever it is.
pub fn installed(name: &str) -> PathBuf {
    let here = PathBuf::from("/opt/crownest/bin").join(name);
    if here.exists() { here } else { PathBuf::from(name) }
}

/// Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    pub fn start(name: &str, flags: &[String]) -> Self {
        let mut command = Command::new(program(name));
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        Self { child: command.spawn().expect("the program can be started") }
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its memory that is in RAM.
    pub fn resident_kib(&self) -> u64 {
        let pid = self.pid().expect("the process runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// SIGKILL: no clean-up of any kind.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// SIGTERM, and wait.
    pub async fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("the process runs"), signal).expect("the process can be signaled");
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        tokio::time::timeout(crate::DEADLINE, self.child.wait()).await.expect("in time").expect("it can be waited for")
    }
}
