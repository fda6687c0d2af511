//! The differences between the private servers, as each kind of software tells them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::error::LocalError;
use super::home::Home;
use super::ports::Ports;
use super::process::Launch;

/// The price of a power cut. Neither setting loses data when only the processes are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// PostgreSQL waits for the disk before it confirms.
    Durable,
    /// For tests: nothing waits for the disk.
    Fast,
}

pub trait Software: Sized + Send + Sync {
    const NAME: &'static str;
    /// The users that root lets it run as: the first that exists.
    const USERS: &'static [&'static str];
    const PORTS: &'static [&'static str];
    /// Asks for an orderly end.
    const STOP: Signal;
    const STOP_WITHIN: Duration;
    /// Asks for an immediate end that still frees what outlives a process, such as shared memory.
    const ABORT: Signal = Signal::KILL;
    const READY_WITHIN: Duration;

    fn locate(durability: Durability) -> Result<Self, LocalError>;
    /// The executable that its processes run, after any wrapper script.
    fn program(&self) -> &Path;
    /// Writes configuration, creates data where there is none, and returns the command.
    fn prepare(&self, home: &Home, ports: &Ports) -> impl Future<Output = Result<Launch, LocalError>> + Send;
    /// One attempt to use the service, with its credentials; says what went wrong.
    fn probe(&self, home: &Home, ports: &Ports) -> impl Future<Output = Result<(), String>> + Send;
    /// Unix sockets outside the service's folder that it may leave behind.
    fn stray_sockets(&self, _home: &Home, _ports: &Ports) -> Vec<PathBuf> {
        Vec::new()
    }
}
