//! Why a private service could not be started or stopped, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("`{}` is in use by the live process {holder}: stop that one first, or choose another data folder", dir.display())]
    AlreadyRunning { dir: PathBuf, holder: String },
    #[error("the data folder `{}` must have a plain name (letters, digits and ./_-+@): RabbitMQ's scripts cannot quote", .0.display())]
    UnquotableDataDir(PathBuf),
    #[error(
        "{service} runs as the user `{user}`, who cannot enter `{}`: allow that (chmod o+x), or choose a data folder elsewhere, such as /var/lib/crownest",
        path.display()
    )]
    NotTraversable { service: &'static str, user: String, path: PathBuf },
    #[error("{service} is not installed: expected {expected}. Run infra/setup.sh")]
    NotInstalled { service: &'static str, expected: &'static str },
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{service} did not start: {reason}.\nThe end of its log ({}):\n{tail}", log.display())]
    NotStarted { service: &'static str, reason: String, log: PathBuf, tail: String },
    #[error("{service} lost its ports to other programs {attempts} times in a row; last taken: {taken:?}")]
    PortsTaken { service: &'static str, attempts: u32, taken: Vec<u16> },
    #[error("no free port was found between {from} and {to} on 127.0.0.1")]
    NoFreePort { from: u16, to: u16 },
    #[error("{service} still has processes after SIGKILL: {pids:?}. Are they stuck in disk I/O, or another user's?")]
    Unkillable { service: &'static str, pids: Vec<u32> },
}

impl LocalError {
    /// For `map_err`: names the file that an operation failed on.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
