//! Starting one service as a child process: its user, its process group, its environment and its log.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::process::Child;

use super::error::LocalError;
use super::home::Home;
use super::leftovers;
use super::procfs::ProcessId;

/// Environment variable that every process of a service inherits; its value is the service's folder.
pub(super) const MARK: &str = "CROWNEST_LOCAL_SERVICE";
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
const LOG_TAIL_BYTES: u64 = 4 * 1024;

/// A command to execute.
#[derive(Debug)]
pub struct Launch {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(&'static str, OsString)>,
    pub(super) cwd: PathBuf,
}

impl Launch {
    /// A command that sees nothing of the caller's environment, so that a stray `PGDATA` or `RABBITMQ_…` changes nothing.
    pub(super) fn command(&self, home: &Home) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env(MARK, &home.dir)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.cwd)
            .stdin(Stdio::null());
        home.run_as.apply(&mut command);
        command
    }
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) id: ProcessId,
}

/// Starts the service in its own process group, so that a Ctrl-C in the supervisor's terminal does not reach it.
pub(super) fn spawn(home: &Home, launch: &Launch) -> Result<Running, LocalError> {
    let log = home.log();
    rotate(&log)?;
    let output =
        OpenOptions::new().append(true).create(true).mode(0o600).open(&log).map_err(LocalError::io("open", &log))?;
    let errors = output.try_clone().map_err(LocalError::io("open", &log))?;
    let mut command = launch.command(home);
    command.stdout(output).stderr(errors).process_group(0);
    let child = tokio::process::Command::from(command).spawn().map_err(LocalError::io("execute", &launch.program))?;
    let id = child.id().and_then(ProcessId::of);
    let id = id.ok_or_else(|| not_started(home, "it ended at once"))?;
    leftovers::record(home, id)?;
    Ok(Running { child, id })
}

fn rotate(log: &Path) -> Result<(), LocalError> {
    if fs::metadata(log).is_ok_and(|meta| meta.len() > LOG_LIMIT_BYTES) {
        fs::rename(log, log.with_extension("old")).map_err(LocalError::io("rotate", log))?;
    }
    Ok(())
}

/// The error for a service that did not come up, with the end of its log.
pub(super) fn not_started(home: &Home, reason: impl Into<String>) -> LocalError {
    let log = home.log();
    let tail = tail(&log).unwrap_or_else(|error| format!("(cannot be read: {error})"));
    LocalError::NotStarted { service: home.service, reason: reason.into(), log, tail }
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(log)?;
    let start = file.metadata()?.len().saturating_sub(LOG_TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
