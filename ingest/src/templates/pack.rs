//! The canonical form of a root file system: one tar (GNU format, sorted by name, folders before what is in them, all
//! owned by root, no special files or bits), compressed with zstd. The same tree gives the same tar; its SHA-256 is the
//! template's digest, whatever the compression.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::tree::{Content, Folder, Node, Tree};

const COMPRESSION_LEVEL: i32 = 6;

/// A packed tree.
#[derive(Debug)]
pub(super) struct Packed {
    /// The compressed tar, from its beginning.
    pub(super) file: File,
    /// Digest of the uncompressed tar, in lower-case hexadecimal.
    pub(super) sha256: String,
    pub(super) tar_bytes: u64,
    pub(super) size_bytes: u64,
}

pub(super) fn pack(tree: &Tree, spool: &File) -> io::Result<Packed> {
    let file = BufWriter::with_capacity(1 << 20, tempfile::tempfile()?);
    let compressed = zstd::Encoder::new(file, COMPRESSION_LEVEL)?;
    let digest = Digested { inner: compressed, digest: Sha256::new(), bytes: 0 };
    let mut packing = Packing { tar: Builder::new(digest), spool, first_names: HashMap::new() };
    packing.folder(Path::new(""), &tree.root)?;
    let Digested { inner, digest, bytes } = packing.tar.into_inner()?;
    let mut file = inner.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    let size_bytes = file.stream_position()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Packed { file, sha256: hex::encode(digest.finalize()), tar_bytes: bytes, size_bytes })
}

struct Packing<'a, W: Write> {
    tar: Builder<W>,
    spool: &'a File,
    /// First path of each content, by its place in the spool: later files with the same place are hard links.
    first_names: HashMap<u64, PathBuf>,
}

impl<W: Write> Packing<'_, W> {
    fn folder(&mut self, path: &Path, folder: &Folder) -> io::Result<()> {
        for (name, node) in &folder.children {
            let path = path.join(name);
            match node {
                Node::Folder(inner) => {
                    let mut header = header(EntryType::Directory, inner.mode, inner.mtime, 0);
                    self.tar.append_data(&mut header, &path, io::empty())?;
                    self.folder(&path, inner)?;
                }
                Node::File { mode, mtime, content } => self.file(path, *mode, *mtime, content)?,
                Node::Symlink { mtime, target } => {
                    self.link(EntryType::Symlink, &path, target, *mtime)?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, mode: u32, mtime: u64, content: &Content) -> io::Result<()> {
        let mut header = header(EntryType::Regular, mode, mtime, content.len());
        match content {
            Content::Made(bytes) => self.tar.append_data(&mut header, path, &bytes[..]),
            Content::Spooled { offset, len } => {
                if *len > 0 {
                    if let Some(first) = self.first_names.get(offset) {
                        let first = first.clone();
                        return self.link(EntryType::Link, &path, first.as_os_str(), mtime);
                    }
                    self.first_names.insert(*offset, path.clone());
                }
                let content = Section { file: self.spool, offset: *offset, left: *len };
                self.tar.append_data(&mut header, path, content)
            }
        }
    }

    fn link(&mut self, kind: EntryType, path: &Path, target: &OsStr, mtime: u64) -> io::Result<()> {
        self.tar.append_link(&mut header(kind, 0o777, mtime, 0), path, target)
    }
}

fn header(kind: EntryType, mode: u32, mtime: u64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(mtime);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A part of a file.
struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let bytes = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += bytes as u64;
        self.left -= bytes as u64;
        Ok(bytes)
    }
}

/// Digests the bytes that it passes on.
struct Digested<W> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
