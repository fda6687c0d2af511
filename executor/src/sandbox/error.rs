//! Why a sandbox could not be had. Never about the user's command: that ends with an [`Exit`](super::Exit).
use std::fmt;
use std::io;
use std::path::PathBuf;

use schemas::run::FailureReason;

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
    /// The contract's word for it.
    pub fn failure_reason(&self) -> FailureReason {
        match self {
            Self::InvalidSpec(_) | Self::SlotBusy { .. } | Self::WorkDirLocked(_) => FailureReason::InternalError,
            Self::Unavailable { .. } | Self::Io { .. } => FailureReason::SandboxUnavailable,
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
