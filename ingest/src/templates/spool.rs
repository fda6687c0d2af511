//! Reads tar streams into a tree. Contents go one after the other into an unnamed file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStringExt as _;

use tar::EntryType;

use super::error::TemplateError;
use super::tree::{Content, Folder, Misplaced, Node, Tree};

/// Bounds of an image; more is a mistake or an attack.
const MAX_ENTRIES: u64 = 2_000_000;
pub(super) const MAX_CONTENT_BYTES: u64 = 32 << 30;
/// A file of this prefix in a layer removes the rest of its name from the layers below (OCI image specification).
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The kind of a tar: only a layer has whiteouts.
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
    /// Devices, FIFOs and sockets that were left out.
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
        // The rest behind the end mark, so that a digest covers the whole stream.
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
        let link = |entry: &tar::Entry<'_, R>| entry.link_name_bytes().map(Cow::into_owned).unwrap_or_default();
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
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        return tree.remove(&[folder, hidden].concat());
    }
    later.push(entry);
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::super::pack::pack;
    use super::super::prepare::prepare;
    use super::*;

    /// Files with the last part of their name as content; folders end with a slash, symlinks are `name -> target`, hard links
    /// `name => target`.
    fn tar(entries: &[&str]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for entry in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o6755);
            header.set_uid(1234);
            header.set_mtime(7);
            header.set_size(0);
            if let Some((name, target)) = entry.split_once(" -> ") {
                header.set_entry_type(EntryType::Symlink);
                tar.append_link(&mut header, name, target).unwrap();
            } else if let Some((name, target)) = entry.split_once(" => ") {
                header.set_entry_type(EntryType::Link);
                tar.append_link(&mut header, name, target).unwrap();
            } else if entry.ends_with('/') {
                header.set_entry_type(EntryType::Directory);
                tar.append_data(&mut header, entry, io::empty()).unwrap();
            } else {
                let content = entry.rsplit('/').next().unwrap_or_default();
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, entry, content.as_bytes()).unwrap();
            }
        }
        tar.into_inner().unwrap()
    }

    fn flattened(layers: &[&[&str]]) -> (Tree, Spool) {
        let (mut tree, mut spool) = (Tree::default(), Spool::create().unwrap());
        for layer in layers {
            spool.add(&mut tree, &tar(layer)[..], Kind::Layer, "layer").unwrap();
        }
        (tree, spool)
    }

    fn names(folder: &Folder) -> Vec<String> {
        let mut found = Vec::new();
        for (name, node) in &folder.children {
            let name = name.to_string_lossy().into_owned();
            if let Node::Folder(inner) = node {
                found.extend(names(inner).into_iter().map(|inner| format!("{name}/{inner}")));
            }
            found.push(name);
        }
        found.sort();
        found
    }

    #[test]
    fn whiteouts_remove_what_is_below_and_nothing_of_their_own_layer() {
        let below: &[&str] = &["a", "d/x", "d/y", "opaque/old", "link -> d"];
        for (above, expected) in [
            (&[".wh.a"][..], &["d", "d/x", "d/y", "link", "opaque", "opaque/old"][..]),
            (&["d/.wh.x", "d/x"], &["a", "d", "d/x", "d/y", "link", "opaque", "opaque/old"]),
            (&["d/x", "d/.wh.x"], &["a", "d", "d/x", "d/y", "link", "opaque", "opaque/old"]),
            (&["opaque/new", "opaque/.wh..wh..opq"], &["a", "d", "d/x", "d/y", "link", "opaque", "opaque/new"]),
            (&[".wh.d", ".wh.nothing"], &["a", "link", "opaque", "opaque/old"]),
            (&["link/z", ".wh.opaque"], &["a", "d", "d/x", "d/y", "d/z", "link"]),
        ] {
            assert_eq!(names(&flattened(&[below, above]).0.root), expected, "{above:?}");
        }
    }

    #[test]
    fn what_names_no_place_is_an_error_that_names_the_entry() {
        let (mut tree, mut spool) = (Tree::default(), Spool::create().unwrap());
        let mut evil = tar(&["aa/evil"]);
        evil[..2].copy_from_slice(b"..");
        let sum: u32 = evil[..512]
            .iter()
            .enumerate()
            .map(|(at, b)| if (148..156).contains(&at) { 32 } else { u32::from(*b) })
            .sum();
        evil[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let error = spool.add(&mut tree, &evil[..], Kind::RootFs, "evil.tar").unwrap_err();
        assert!(error.to_string().contains("../evil"), "{error}");
        let error = spool.add(&mut tree, &tar(&["b => nowhere"])[..], Kind::RootFs, "x.tar").unwrap_err();
        assert_eq!(error.to_string(), r#"x.tar: entry "b": the file that it links to does not exist"#);
        let error = spool.add(&mut tree, &tar(&["a"])[..700], Kind::RootFs, "x.tar").unwrap_err();
        assert!(matches!(error, TemplateError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn one_tree_has_one_form_however_it_was_layered() {
        let packed = |layers: &[&[&str]]| {
            let (mut tree, spool) = flattened(layers);
            let contents = spool.into_file();
            prepare(&mut tree, &contents).unwrap();
            let packed = pack(&tree, &contents).unwrap();
            (packed.sha256, zstd::decode_all(packed.file).unwrap())
        };
        let (digest, bytes) =
            packed(&[&["usr/bin/sh", "bin -> usr/bin", "etc/passwd", "run -> etc", "usr/bin/ash => usr/bin/sh"]]);
        let other = packed(&[
            &["run -> etc", "bin -> usr/bin", "gone"],
            &["etc/passwd", "bin/sh", ".wh.gone", "bin/ash => bin/sh"],
        ]);
        assert_eq!(other.0, digest);
        let mut listed = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, kind) = (entry.path().unwrap().display().to_string(), entry.header().entry_type());
            assert_eq!((entry.header().uid().unwrap(), entry.header().mode().unwrap() & !0o777), (0, 0), "{path}");
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let link = entry.link_name().unwrap().map(|link| link.display().to_string()).unwrap_or_default();
            listed.push(format!("{kind:?} {path} {}{link}", content.replace('\n', "|")));
        }
        let expected = [
            "Symlink bin usr/bin",
            "Directory dev ",
            "Directory etc ",
            "Regular etc/group runner:x:1000:|",
            "Regular etc/passwd passwd|runner:x:1000:1000:runner:/home/runner:/bin/sh|",
            "Directory home ",
            "Directory home/runner ",
            "Directory proc ",
            "Directory run ",
            "Directory sys ",
            "Directory tmp ",
            "Directory usr ",
            "Directory usr/bin ",
            "Regular usr/bin/ash sh",
            "Link usr/bin/sh usr/bin/ash",
            "Directory workspace ",
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn a_root_without_a_shell_is_refused() {
        let (mut tree, spool) = flattened(&[&["etc/passwd"]]);
        let error = prepare(&mut tree, &spool.into_file()).unwrap_err();
        assert!(error.to_string().contains("/bin/sh: expected a program"), "{error}");
    }
}
