//! Extraction of a template's root file system: a tar in the canonical form of an import, compressed with zstd, from our
//! own store. It is what its digest says or it is nothing; and still, every write stays beneath the root.
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, Timespec, Timestamps};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::ahead::read_ahead;
use super::beneath::{Beneath, Refusal};
use super::error::{ExtractError, Limit};
use super::extract::Extracted;
use super::limits::ExtractLimits;

const BUFFER_BYTES: usize = 128 * 1024;
/// Disk space of an entry beside its content, for the cache's bookkeeping.
const ENTRY_DISK_BYTES: u64 = 4096;

/// Extracts like [`extract`](super::extract::extract), and fails unless the tar has the digest `sha256` (lower-case
/// hexadecimal).
pub(crate) fn extract_root_fs(
    archive: File,
    root: BorrowedFd<'_>,
    sha256: &str,
    limits: &ExtractLimits,
    abandoned: &AtomicBool,
) -> Result<Extracted, ExtractError> {
    let decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(BUFFER_BYTES, archive));
    let mut digested = Digested { inner: decoder.map_err(ExtractError::Read)?, digest: Sha256::new() };
    let done =
        read_ahead(&mut digested, |tar| extract_tar(tar, root, limits, abandoned)).map_err(ExtractError::Read)??;
    let got = hex::encode(digested.digest.finalize());
    if got == sha256 {
        return Ok(done);
    }
    let source = io::Error::other(format!("the root file system has the SHA-256 {got}, expected {sha256}"));
    Err(ExtractError::Unreadable { entries: done.entries, last: String::new(), source })
}

/// Reads to the end of `tar`, beyond that of the archive.
fn extract_tar(
    tar: impl Read,
    root: BorrowedFd<'_>,
    limits: &ExtractLimits,
    abandoned: &AtomicBool,
) -> Result<Extracted, ExtractError> {
    let mut archive = tar::Archive::new(tar);
    let mut beneath = Beneath::new(root, None);
    let mut done = Extracted::default();
    let unreadable =
        |done: Extracted, source| ExtractError::Unreadable { entries: done.entries, last: String::new(), source };
    for entry in archive.entries().map_err(ExtractError::Read)? {
        if abandoned.load(Ordering::Relaxed) {
            return Err(ExtractError::Abandoned);
        }
        let mut entry = entry.map_err(|error| unreadable(done, error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        done.entries += 1;
        done.disk_bytes += ENTRY_DISK_BYTES;
        done.unpacked_bytes += entry.size();
        done.disk_bytes += entry.size();
        for (limit, value, allowed) in [
            (Limit::Entries, done.entries + beneath.implied(), limits.entries),
            (Limit::UnpackedBytes, done.unpacked_bytes, limits.unpacked_bytes),
        ] {
            if value > allowed {
                return Err(ExtractError::TooLarge { entry: name, limit, allowed });
            }
        }
        place(&mut beneath, &mut entry).map_err(|refusal| match refusal {
            Failure::Refused(Refusal::Because(reason)) => ExtractError::Refused { entry: name, reason },
            Failure::Refused(Refusal::Io(errno)) => ExtractError::Write { entry: name, source: errno.into() },
            Failure::Io(source) => ExtractError::Write { entry: name, source },
        })?;
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| unreadable(done, error))?;
    Ok(done)
}

enum Failure {
    Refused(Refusal),
    Io(io::Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn place<R: Read>(beneath: &mut Beneath<'_>, entry: &mut tar::Entry<'_, R>) -> Result<(), Failure> {
    let path = entry.path_bytes().into_owned();
    let path = Path::new(OsStr::from_bytes(&path));
    let mode = Mode::from_raw_mode(entry.header().mode()? & 0o777);
    let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
    let link = OsStr::from_bytes(&link);
    match entry.header().entry_type() {
        EntryType::Directory => beneath.directory(path, mode)?,
        EntryType::Symlink => beneath.symlink(path, link)?,
        EntryType::Link => beneath.hard_link(path, Path::new(link))?,
        EntryType::Regular => {
            let mut file = beneath.file(path, mode)?;
            io::copy(entry, &mut file)?;
            // Whatever the executor's umask is.
            rustix::fs::fchmod(file.as_fd(), mode).map_err(io::Error::from)?;
            let time = Timespec { tv_sec: i64::try_from(entry.header().mtime()?).unwrap_or(0), tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::futimens(&file, &times).map_err(io::Error::from)?;
        }
        _ => return Err(Refusal::Because("its type is not supported").into()),
    }
    Ok(())
}

struct Digested<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.digest.update(&buffer[..bytes]);
        Ok(bytes)
    }
}
