//! Extraction of a `.tar.gz` from a hostile stranger: what is written, and where, is decided here. Ownership, extended
//! attributes and special bits are not taken over; permissions are, whatever the umask, and times of files.
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use rustix::fs::{Mode, Timespec, Timestamps};

use super::ahead::read_ahead;
use super::beneath::{Beneath, Refusal};
use super::block::Kind;
use super::error::{ExtractError, Limit, system_failed};
use super::limits::ExtractLimits;
use super::links::points_outside;
use super::members::{HEADER_BYTES, Member, Members, TarError};

const BUFFER_BYTES: usize = 128 * 1024;
/// Smallest archive for which a thread that decompresses saves more than it costs.
const AHEAD_FROM_BYTES: u64 = 64 * 1024;
/// Disk space of an entry beside its content, for the cache's bookkeeping.
const ENTRY_DISK_BYTES: u64 = 4096;
/// Longest name in a message, in characters.
const SHOWN_CHARS: usize = 200;

/// Totals of one extraction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extracted {
    pub entries: u64,
    /// Sizes of files, holes included.
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
    extract_for(None, archive, root, limits, abandoned)
}

/// [`extract`], where everything that is created belongs to this user and group.
pub(crate) fn extract_for(
    owner: Option<u32>,
    archive: File,
    root: BorrowedFd<'_>,
    limits: &ExtractLimits,
    abandoned: &AtomicBool,
) -> Result<Extracted, ExtractError> {
    let is_small = archive.metadata().map_err(ExtractError::Read)?.len() < AHEAD_FROM_BYTES;
    let decoder = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, archive));
    if is_small {
        return extract_tar(owner, decoder, root, limits, abandoned);
    }
    read_ahead(decoder, |tar| extract_tar(owner, tar, root, limits, abandoned)).map_err(ExtractError::Read)?
}

fn extract_tar(
    owner: Option<u32>,
    tar: impl Read,
    root: BorrowedFd<'_>,
    limits: &ExtractLimits,
    abandoned: &AtomicBool,
) -> Result<Extracted, ExtractError> {
    let mut extraction = Extraction {
        members: Members::new(tar),
        beneath: Beneath::new(root, owner),
        limits,
        done: Extracted::default(),
        buffer: vec![0; BUFFER_BYTES],
        abandoned,
    };
    while let Some(member) = extraction.members.next().map_err(|error| extraction.unreadable(error))? {
        extraction.check_abandoned()?;
        extraction.entry(&member)?;
    }
    extraction.drain()
}

struct Extraction<'a, R> {
    members: Members<R>,
    beneath: Beneath<'a>,
    limits: &'a ExtractLimits,
    done: Extracted,
    buffer: Vec<u8>,
    abandoned: &'a AtomicBool,
}

impl<R: Read> Extraction<'_, R> {
    fn entry(&mut self, member: &Member) -> Result<(), ExtractError> {
        self.done.entries += 1;
        self.count_made(1)?;
        let implied = self.beneath.implied();
        self.place(member)?;
        self.count_made(self.beneath.implied() - implied)
    }

    /// Counts what an entry makes: itself, and folders that only its path names.
    fn count_made(&mut self, count: u64) -> Result<(), ExtractError> {
        self.check(Limit::Entries, self.done.entries + self.beneath.implied(), self.limits.entries)?;
        self.count_disk_bytes(count * ENTRY_DISK_BYTES)
    }

    fn count_disk_bytes(&mut self, bytes: u64) -> Result<(), ExtractError> {
        self.done.disk_bytes += bytes;
        self.check(Limit::DiskBytes, self.done.disk_bytes, self.limits.disk_bytes)
    }

    fn place(&mut self, member: &Member) -> Result<(), ExtractError> {
        let path = self.path(&member.path)?;
        let mode = Mode::from_raw_mode(member.mode);
        if path.as_os_str().is_empty() && member.kind != Kind::Directory {
            return Err(self.refused("it names the root"));
        }
        match member.kind {
            Kind::Directory => {
                if !path.as_os_str().is_empty() {
                    self.beneath.directory(&path, mode).map_err(|refusal| self.failed(&refusal))?;
                }
            }
            Kind::File | Kind::GnuSparse => {
                let total = self.done.unpacked_bytes.saturating_add(member.size);
                self.check(Limit::UnpackedBytes, total, self.limits.unpacked_bytes)?;
                let file = self.beneath.file(&path, mode).map_err(|refusal| self.failed(&refusal))?;
                return self.content(member, file);
            }
            Kind::Symlink => {
                let target = self.link_target(member)?;
                if points_outside(&path, target) {
                    return Err(self.refused("the symlink points outside of the archive"));
                }
                self.beneath.symlink(&path, target).map_err(|refusal| self.failed(&refusal))?;
            }
            Kind::HardLink => {
                let target = self.path(self.link_target(member)?.as_bytes())?;
                self.beneath.hard_link(&path, &target).map_err(|refusal| self.failed(&refusal))?;
            }
            Kind::Device | Kind::Fifo => return Err(self.refused("devices and FIFOs are refused")),
            _ => return Err(self.refused("its type is not supported")),
        }
        // There is none.
        self.members.read(&mut []).map(|_| ()).map_err(|error| self.unreadable(error))
    }

    fn content(&mut self, member: &Member, mut file: File) -> Result<(), ExtractError> {
        let mut end = 0;
        loop {
            self.check_abandoned()?;
            let read = self.members.read(&mut self.buffer);
            let (offset, bytes) = read.map_err(|error| self.unreadable(error))?;
            if bytes == 0 {
                break;
            }
            self.count_disk_bytes(bytes as u64)?;
            let piece = &self.buffer[..bytes];
            let written = if offset == end { file.write_all(piece) } else { file.write_all_at(piece, offset) };
            written.map_err(|source| self.write_failed(source))?;
            end = offset + bytes as u64;
        }
        if end != member.size {
            file.set_len(member.size).map_err(|source| self.write_failed(source))?;
        }
        self.done.unpacked_bytes += member.size;
        let time = Timespec { tv_sec: member.modified.seconds, tv_nsec: member.modified.nanoseconds.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(&file, &times).map_err(|errno| self.write_failed(errno.into()))
    }

    /// Reads what follows the end of the archive: only then is the checksum of the compressed stream verified.
    fn drain(mut self) -> Result<Extracted, ExtractError> {
        let mut total = self.done.unpacked_bytes;
        let reached = shown(self.members.reached());
        let mut rest = self.members.into_input();
        loop {
            let bytes = rest.read(&mut self.buffer).map_err(|error| unreadable(error, self.done.entries, &reached))?;
            if bytes == 0 {
                return Ok(self.done);
            }
            if self.abandoned.load(Ordering::Relaxed) {
                return Err(ExtractError::Abandoned);
            }
            total += bytes as u64;
            // Padding to a full record is not content, but nor is it endless.
            let allowed = self.limits.unpacked_bytes.saturating_add(HEADER_BYTES);
            if total > allowed {
                return Err(ExtractError::TooLarge { entry: reached, limit: Limit::UnpackedBytes, allowed });
            }
        }
    }

    /// Relative, without `.`; refuses whatever could leave the root.
    fn path(&self, raw: &[u8]) -> Result<PathBuf, ExtractError> {
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

    fn link_target<'m>(&self, member: &'m Member) -> Result<&'m OsStr, ExtractError> {
        if member.link.is_empty() {
            return Err(self.refused("the link has no target"));
        }
        self.check(Limit::PathBytes, member.link.len() as u64, self.limits.path_bytes as u64)?;
        Ok(OsStr::from_bytes(&member.link))
    }

    fn check(&self, limit: Limit, value: u64, allowed: u64) -> Result<(), ExtractError> {
        if value <= allowed {
            return Ok(());
        }
        Err(ExtractError::TooLarge { entry: shown(self.members.reached()), limit, allowed })
    }

    fn check_abandoned(&self) -> Result<(), ExtractError> {
        if self.abandoned.load(Ordering::Relaxed) { Err(ExtractError::Abandoned) } else { Ok(()) }
    }

    fn refused(&self, reason: &'static str) -> ExtractError {
        ExtractError::Refused { entry: shown(self.members.reached()), reason }
    }

    fn failed(&self, refusal: &Refusal) -> ExtractError {
        match *refusal {
            Refusal::Because(reason) => self.refused(reason),
            Refusal::Io(errno) => self.write_failed(errno.into()),
        }
    }

    fn write_failed(&self, source: io::Error) -> ExtractError {
        let errno = rustix::io::Errno::from_io_error(&source);
        if let Some(Refusal::Because(reason)) = errno.map(Refusal::from) {
            return self.refused(reason);
        }
        ExtractError::Write { entry: shown(self.members.reached()), source }
    }

    fn unreadable(&self, error: TarError) -> ExtractError {
        let entry = shown(self.members.reached());
        match error {
            TarError::Io(error) => unreadable(error, self.done.entries, &entry),
            TarError::Damaged(reason) => unreadable(io::Error::other(reason), self.done.entries, &entry),
            TarError::Refused(reason) => ExtractError::Refused { entry, reason },
            TarError::HeaderBytes => ExtractError::TooLarge { entry, limit: Limit::HeaderBytes, allowed: HEADER_BYTES },
        }
    }
}

fn unreadable(source: io::Error, entries: u64, reached: &str) -> ExtractError {
    if system_failed(&source) {
        return ExtractError::Read(source);
    }
    ExtractError::Unreadable { entries, last: reached.to_owned(), source }
}

/// A name as messages have it: they end up in evidence, which is no place for a megabyte of rubbish.
fn shown(name: &[u8]) -> String {
    // A character has at most four bytes.
    let (head, cut) = name.split_at_checked(4 * SHOWN_CHARS).unwrap_or((name, &[]));
    let text = String::from_utf8_lossy(head);
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if !cut.is_empty() => format!("{text}…"),
        None => text.into_owned(),
    }
}
