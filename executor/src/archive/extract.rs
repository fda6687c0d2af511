//! Extraction of a `.tar.gz` from a hostile stranger. The tar crate only reads; what is written, and where, is
//! decided here. Ownership, extended attributes and special bits are not taken over, times of files are.
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use rustix::fs::{Mode, Timespec, Timestamps};
use tar::EntryType;

use super::beneath::{Beneath, Refusal};
use super::error::{ExtractError, Limit};
use super::limits::ExtractLimits;
use super::metered::{Allowance, Metered, system_failed};

const BUFFER_BYTES: usize = 128 * 1024;
/// For the headers of one entry, and its padding.
const HEADER_BYTES: u64 = 1 << 20;
/// What an entry costs on disk beside its content, for the cache's bookkeeping.
const ENTRY_DISK_BYTES: u64 = 4096;

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extracted {
    pub entries: u64,
    pub unpacked_bytes: u64,
    /// Estimate of what it takes on disk.
    pub disk_bytes: u64,
}

/// Extracts beneath `root`, an empty directory, as the calling user. Blocking: call it from `spawn_blocking`.
/// Ends early with [`ExtractError::Abandoned`] when `abandoned` becomes true. On error, remove the directory.
pub fn extract(
    archive: File,
    root: BorrowedFd<'_>,
    limits: &ExtractLimits,
    abandoned: &AtomicBool,
) -> Result<Extracted, ExtractError> {
    let allowance = Allowance::default();
    let decoder = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, archive));
    let mut archive = tar::Archive::new(Metered::new(decoder, allowance.clone()));
    let mut extraction = Extraction {
        beneath: Beneath::new(root),
        limits,
        done: Extracted::default(),
        buffer: vec![0; BUFFER_BYTES],
        allowance: allowance.clone(),
        last: String::new(),
    };
    allowance.set(HEADER_BYTES);
    let mut entries = archive.entries().map_err(|error| extraction.unreadable(error))?;
    loop {
        if abandoned.load(Ordering::Relaxed) {
            return Err(ExtractError::Abandoned);
        }
        allowance.set(HEADER_BYTES);
        let Some(entry) = entries.next() else { break };
        let entry = entry.map_err(|error| extraction.unreadable(error))?;
        extraction.entry(entry, abandoned)?;
    }
    extraction.drain(archive.into_inner())?;
    Ok(extraction.done)
}

struct Extraction<'a> {
    beneath: Beneath<'a>,
    limits: &'a ExtractLimits,
    done: Extracted,
    buffer: Vec<u8>,
    allowance: Allowance,
    /// The entry that was reached, for messages.
    last: String,
}

impl Extraction<'_> {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>, abandoned: &AtomicBool) -> Result<(), ExtractError> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            // `git archive` puts the commit id there.
            return Ok(());
        }
        let raw = entry.path_bytes().into_owned();
        self.last = String::from_utf8_lossy(&raw).into_owned();
        self.done.entries += 1;
        self.done.disk_bytes += ENTRY_DISK_BYTES;
        self.check(Limit::Entries, self.done.entries, self.limits.entries)?;
        let path = self.path(&raw)?;
        if is_pax_sparse(&mut entry) {
            return Err(self.refused("sparse files in POSIX format are not supported (create it without --sparse)"));
        }
        // Archives older than POSIX have no type for folders.
        let kind = if kind == EntryType::Regular && raw.ends_with(b"/") { EntryType::Directory } else { kind };
        // An unreadable mode or time is no reason to refuse the file.
        let mode = Mode::from_raw_mode(entry.header().mode().unwrap_or(0o644) & 0o777);
        if path.as_os_str().is_empty() {
            return if kind == EntryType::Directory { Ok(()) } else { Err(self.refused("it names the root")) };
        }
        match kind {
            EntryType::Directory => self.beneath.directory(&path, mode).map_err(|refusal| self.failed(&refusal)),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let total = self.done.unpacked_bytes.saturating_add(entry.size());
                self.check(Limit::UnpackedBytes, total, self.limits.unpacked_bytes)?;
                let file = self.beneath.file(&path, mode).map_err(|refusal| self.failed(&refusal))?;
                let modified = entry.header().mtime().ok();
                self.content(&mut entry, file, modified, abandoned)
            }
            EntryType::Symlink => {
                let target = self.link_target(&entry)?;
                if points_outside(&path, OsStr::from_bytes(&target)) {
                    return Err(self.refused("the symlink points outside of the archive"));
                }
                let target = OsStr::from_bytes(&target);
                self.beneath.symlink(&path, target).map_err(|refusal| self.failed(&refusal))
            }
            EntryType::Link => {
                let target = self.link_target(&entry)?;
                let target = self.path(&target)?;
                self.beneath.hard_link(&path, &target).map_err(|refusal| self.failed(&refusal))
            }
            EntryType::Block | EntryType::Char | EntryType::Fifo => Err(self.refused("devices and FIFOs are refused")),
            _ => Err(self.refused("its type is not supported")),
        }
    }

    fn content(
        &mut self,
        entry: &mut impl Read,
        mut file: File,
        modified: Option<u64>,
        abandoned: &AtomicBool,
    ) -> Result<(), ExtractError> {
        loop {
            if abandoned.load(Ordering::Relaxed) {
                return Err(ExtractError::Abandoned);
            }
            self.allowance.set(HEADER_BYTES);
            let bytes = entry.read(&mut self.buffer).map_err(|error| self.unreadable(error))?;
            if bytes == 0 {
                break;
            }
            self.done.unpacked_bytes += bytes as u64;
            self.done.disk_bytes += bytes as u64;
            self.check(Limit::UnpackedBytes, self.done.unpacked_bytes, self.limits.unpacked_bytes)?;
            file.write_all(&self.buffer[..bytes]).map_err(|source| self.write_failed(source))?;
        }
        if let Some(seconds) = modified.and_then(|seconds| i64::try_from(seconds).ok()) {
            let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::futimens(&file, &times).map_err(|errno| self.write_failed(errno.into()))?;
        }
        Ok(())
    }

    /// Reads what follows the end of the archive: only then is the checksum of the compressed stream verified.
    fn drain(&mut self, mut rest: impl Read) -> Result<(), ExtractError> {
        let mut total = self.done.unpacked_bytes;
        loop {
            self.allowance.set(HEADER_BYTES);
            let bytes = rest.read(&mut self.buffer).map_err(|error| self.unreadable(error))?;
            if bytes == 0 {
                return Ok(());
            }
            total += bytes as u64;
            // Padding to a full record is not content, but nor is it endless.
            let allowed = self.limits.unpacked_bytes.saturating_add(HEADER_BYTES);
            self.check(Limit::UnpackedBytes, total, allowed)?;
        }
    }

    /// Relative, without `.`; refuses whatever could leave the root.
    fn path(&self, raw: &[u8]) -> Result<PathBuf, ExtractError> {
        if raw.contains(&0) {
            return Err(self.refused("its path contains NUL"));
        }
        self.check(Limit::PathBytes, raw.len() as u64, self.limits.path_bytes as u64)?;
        let mut path = PathBuf::new();
        for component in Path::new(OsStr::from_bytes(raw)).components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::CurDir => {}
                Component::ParentDir => return Err(self.refused("its path contains `..`")),
                Component::RootDir | Component::Prefix(_) => return Err(self.refused("its path is absolute")),
            }
        }
        self.check(Limit::PathDepth, path.iter().count() as u64, self.limits.path_depth as u64)?;
        Ok(path)
    }

    fn link_target<R: Read>(&self, entry: &tar::Entry<'_, R>) -> Result<Vec<u8>, ExtractError> {
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        if target.is_empty() || target.contains(&0) {
            return Err(self.refused("the link has no valid target"));
        }
        self.check(Limit::PathBytes, target.len() as u64, self.limits.path_bytes as u64)?;
        Ok(target)
    }

    fn check(&self, limit: Limit, value: u64, allowed: u64) -> Result<(), ExtractError> {
        if value <= allowed {
            return Ok(());
        }
        Err(ExtractError::TooLarge { entry: self.last.clone(), limit, allowed })
    }

    fn refused(&self, reason: &'static str) -> ExtractError {
        ExtractError::Refused { entry: self.last.clone(), reason }
    }

    fn failed(&self, refusal: &Refusal) -> ExtractError {
        match *refusal {
            Refusal::Because(reason) => self.refused(reason),
            Refusal::Io(errno) => self.write_failed(errno.into()),
        }
    }

    fn write_failed(&self, source: io::Error) -> ExtractError {
        ExtractError::Write { entry: self.last.clone(), source }
    }

    fn unreadable(&self, error: io::Error) -> ExtractError {
        if Allowance::caused(&error) {
            let entry = self.last.clone();
            return ExtractError::TooLarge { entry, limit: Limit::HeaderBytes, allowed: HEADER_BYTES };
        }
        if system_failed(&error) {
            return ExtractError::Read(error);
        }
        ExtractError::Unreadable { entries: self.done.entries, source: error }
    }
}

/// The tar crate does not know this format, in which the file would come out under another name, with its map inside.
fn is_pax_sparse<R: Read>(entry: &mut tar::Entry<'_, R>) -> bool {
    let extensions = entry.pax_extensions().ok().flatten();
    extensions.into_iter().flatten().flatten().any(|extension| extension.key_bytes().starts_with(b"GNU.sparse."))
}

/// Lexically. (The kernel confines symlinks again wherever they are followed; this is about telling early.)
fn points_outside(link: &Path, target: &OsStr) -> bool {
    let mut depth = link.iter().count() - 1;
    for component in Path::new(target).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_where_symlinks_point() {
        for (link, target, outside) in [
            ("a", "b", false),
            ("a", "..", true),
            ("d/a", "..", false),
            ("d/a", "../../x", true),
            ("d/a", "./../b/../..", true),
            ("a", "/etc/passwd", true),
            ("a", "b/../../etc", true),
        ] {
            assert_eq!(points_outside(Path::new(link), OsStr::new(target)), outside, "{link} -> {target}");
        }
    }
}
