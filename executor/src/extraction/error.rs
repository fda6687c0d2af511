//! Why an archive was not extracted, as facts: whose fault it is follows from the kind.
use std::error::Error;
use std::fmt;
use std::io;

use schemas::run::FailureReason;

/// The limit that an archive exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Entries,
    UnpackedBytes,
    /// The disk limit of a run.
    DiskBytes,
    PathBytes,
    PathDepth,
    /// Headers of one entry: long names and extended attributes.
    HeaderBytes,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entries => "entries",
            Self::UnpackedBytes => "unpacked bytes",
            Self::DiskBytes => "bytes on disk, which a run has (4096 for each entry beside its content)",
            Self::PathBytes => "bytes in one path",
            Self::PathDepth => "folders in one path",
            Self::HeaderBytes => "header bytes of one entry",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// Not a gzip-compressed tar archive, or damaged, or cut short.
    #[error("not a readable .tar.gz archive{}: {source}", place(*entries, last))]
    Unreadable { entries: u64, last: String, source: io::Error },
    /// An entry that no well-meant archive has, or that readers understand differently.
    #[error("archive entry {entry:?}: {reason}")]
    Refused { entry: String, reason: &'static str },
    #[error("archive entry {entry:?} exceeds the limit of {allowed} {limit}")]
    TooLarge { entry: String, limit: Limit, allowed: u64 },
    /// Our disk, not their archive.
    #[error("cannot write archive entry {entry:?}: {source}")]
    Write { entry: String, source: io::Error },
    /// The archive file could not be read from our disk.
    #[error("cannot read the archive: {0}")]
    Read(io::Error),
    /// Nobody waits for the result any more.
    #[error("extraction was abandoned")]
    Abandoned,
}

/// The place in the archive up to which it could be read.
fn place(entries: u64, last: &str) -> String {
    if entries == 0 { String::new() } else { format!(", after {entries} entries (last seen: {last:?})") }
}

impl ExtractError {
    /// The contract's word for it.
    pub fn failure_reason(&self) -> FailureReason {
        match self {
            Self::Unreadable { .. } | Self::Refused { .. } => FailureReason::ArchiveInvalid,
            Self::TooLarge { .. } => FailureReason::ArchiveTooLarge,
            Self::Write { .. } | Self::Read(_) | Self::Abandoned => FailureReason::ExtractionFailed,
        }
    }
}

/// True if the operating system failed, and not a decoder: a decoder's errors have no error number.
pub(super) fn system_failed(error: &io::Error) -> bool {
    let number = |cause: &(dyn Error + 'static)| cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    causes(error).any(|cause| number(cause).is_some())
}

/// The error and everything below it. (`io::Error::source` skips the very error that it wraps.)
fn causes(error: &io::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), below)
}

fn below<'e>(error: &&'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    let error: &'e (dyn Error + 'static) = *error;
    match error.downcast_ref::<io::Error>() {
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
        None => error.source(),
    }
}
