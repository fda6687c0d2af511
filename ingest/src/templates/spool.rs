//! Reads tar streams into a tree. Contents go one after the other into a file without a name.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStringExt as _;

use tar::EntryType;

use super::TemplateError;
use super::tree::{Content, Folder, Misplaced, Node, Tree};

/// An image that claims more is taken for a mistake or an attack.
const MAX_ENTRIES: u64 = 2_000_000;
pub(super) const MAX_CONTENT_BYTES: u64 = 32 << 30;
/// A file of this prefix in a layer removes the rest of its name from the layers below (OCI image specification).
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Whether names may be whiteouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Layer,
    RootFs,
}

#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    used: u64,
    entries: u64,
    /// Devices, FIFOs and sockets, which no template has.
    pub(super) skipped: u64,
}

struct Entry {
    path: Vec<u8>,
    what: What,
}

enum What {
    Node(Node),
    HardLink(Vec<u8>),
}

impl Spool {
    pub(super) fn create() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, used: 0, entries: 0, skipped: 0 })
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }

    /// Puts everything in `tar` on top of `tree`. `name` is for messages.
    pub(super) fn add(&mut self, tree: &mut Tree, tar: impl Read, kind: Kind, name: &str) -> Result<(), TemplateError> {
        let unreadable = |source| TemplateError::Unreadable { name: name.to_owned(), source };
        let mut archive = tar::Archive::new(tar);
        let mut entries = Vec::new();
        for entry in archive.entries().map_err(unreadable)? {
            let entry = self.read(entry.map_err(unreadable)?).map_err(unreadable)?;
            let (Some(entry), whiteout) = (entry, kind == Kind::Layer) else { continue };
            let at = entry.path.clone();
            let placed = if whiteout { white_out(tree, entry, &mut entries) } else { place(tree, entry) };
            placed.map_err(|reason| misplaced(name, &at, reason))?;
        }
        for entry in entries {
            let at = entry.path.clone();
            place(tree, entry).map_err(|reason| misplaced(name, &at, reason))?;
        }
        // What follows the end mark, so that whoever digests the stream has seen all of it.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(unreadable)?;
        Ok(())
    }

    fn read<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> io::Result<Option<Entry>> {
        let kind = entry.header().entry_type();
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(io::Error::other(format!("more than {MAX_ENTRIES} entries")));
        }
        let path = entry.path_bytes().into_owned();
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        let mtime = entry.header().mtime().unwrap_or(0);
        let link = |entry: &tar::Entry<'_, R>| entry.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default();
        let what = match kind {
            EntryType::Directory => What::Node(Node::Folder(Folder { mode, mtime, ..Folder::default() })),
            // Archives older than POSIX have no type for folders.
            EntryType::Regular if path.ends_with(b"/") => {
                What::Node(Node::Folder(Folder { mode, mtime, ..Folder::default() }))
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                What::Node(Node::File { mode, mtime, content: self.content(&mut entry)? })
            }
            EntryType::Symlink => {
                What::Node(Node::Symlink { mtime, target: std::ffi::OsString::from_vec(link(&entry)) })
            }
            EntryType::Link => What::HardLink(link(&entry)),
            EntryType::Block | EntryType::Char | EntryType::Fifo => {
                self.skipped += 1;
                return Ok(None);
            }
            EntryType::XGlobalHeader => return Ok(None),
            other => return Err(io::Error::other(format!("{} has the unknown type {other:?}", shown(&path)))),
        };
        Ok(Some(Entry { path, what }))
    }

    fn content(&mut self, entry: &mut impl Read) -> io::Result<Content> {
        let offset = self.used;
        let len = io::copy(&mut entry.take(MAX_CONTENT_BYTES - self.used + 1), &mut self.file)?;
        self.used += len;
        if self.used > MAX_CONTENT_BYTES {
            return Err(io::Error::other(format!("more than {MAX_CONTENT_BYTES} bytes in files")));
        }
        self.file.flush()?;
        Ok(Content::Spooled { offset, len })
    }
}

/// Removes at once what a whiteout names, which is in the layers below; what the layer itself brings waits until all
/// of its whiteouts are done, wherever in the layer they are.
fn white_out(tree: &mut Tree, entry: Entry, later: &mut Vec<Entry>) -> Result<(), Misplaced> {
    let path = entry.path.strip_suffix(b"/").unwrap_or(&entry.path);
    let cut = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (folder, name) = path.split_at(cut);
    if name == OPAQUE {
        return tree.empty(folder).map(drop);
    }
    match name.strip_prefix(WHITEOUT) {
        Some(hidden) => tree.remove(&[folder, hidden].concat()),
        None => {
            later.push(entry);
            Ok(())
        }
    }
}

fn place(tree: &mut Tree, entry: Entry) -> Result<(), Misplaced> {
    match entry.what {
        What::Node(node) => tree.put(&entry.path, node),
        What::HardLink(existing) => tree.hard_link(&entry.path, &existing),
    }
}

fn misplaced(name: &str, path: &[u8], reason: Misplaced) -> TemplateError {
    TemplateError::Entry { name: name.to_owned(), entry: shown(path), reason: reason.to_string() }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
