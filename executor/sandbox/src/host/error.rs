//! Why a sandbox could not be had. Never about the user's command: that ends with an [`Exit`](crate::Exit).
use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The request itself cannot be run; asking again will not help.
    #[error("invalid sandbox request: {0}")]
    InvalidSpec(String),
    /// Another run still has this slot's uid.
    #[error("slot {slot} is in use")]
    SlotBusy { slot: u32 },
    /// Another executor uses the same work directory.
    #[error("{} is locked by another executor", .0.display())]
    WorkDirLocked(PathBuf),
    /// This machine cannot run sandboxes (now): bubblewrap, the helper or a kernel feature is missing or failed.
    #[error("sandbox unavailable: {step}: {detail}")]
    Unavailable { step: &'static str, detail: String },
    /// A system call of ours failed on the executor's side.
    #[error("sandbox: {step}: {source}")]
    Io { step: &'static str, source: io::Error },
}

impl SandboxError {
    /// True if the machine is at fault; false if the request is, or whoever started a second executor.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Io { .. })
    }

    /// The error in our own words, for the run that it is about: what the kernel, an engine or a helper said is for the log.
    pub fn summary(&self) -> String {
        match self {
            Self::Unavailable { step, .. } | Self::Io { step, .. } => {
                format!("the sandbox failed on the executor's side, at this step: {step}")
            }
            Self::InvalidSpec(_) | Self::SlotBusy { .. } => self.to_string(),
            Self::WorkDirLocked(_) => "another executor uses the work directory".to_owned(),
        }
    }

    pub(super) fn unavailable(step: &'static str, detail: impl fmt::Display) -> Self {
        Self::Unavailable { step, detail: detail.to_string() }
    }
}

/// Names the step in which an I/O error happened.
pub(super) trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, SandboxError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, SandboxError> {
        self.map_err(|source| SandboxError::Io { step, source: source.into() })
    }
}

/// Something of a run is still on the machine; its slot stays taken until it is gone
/// ([`SandboxHost::settle`](crate::SandboxHost::settle)).
#[derive(Debug, thiserror::Error)]
#[error("cleanup failed: {step}: {source}")]
pub struct CleanupError {
    pub step: &'static str,
    pub source: io::Error,
}

/// Names the step in which cleaning up failed.
pub(super) trait At<T> {
    fn at(self, step: &'static str) -> Result<T, CleanupError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: &'static str) -> Result<T, CleanupError> {
        self.map_err(|source| CleanupError { step, source })
    }
}
