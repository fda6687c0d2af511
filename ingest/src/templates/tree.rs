//! A root file system in memory: names, modes, links, and the place of each file's content. Layers are added one after
//! the other; nothing is ever written to a disk under a name that an image chose.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

/// Maximum symlinks in one path, as in Linux.
const MAX_SYMLINKS: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A place in the spool file. Files with the same place are hard links of each other.
    Spooled { offset: u64, len: u64 },
    /// Written by the import itself.
    Made(Vec<u8>),
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Spooled { len, .. } => *len,
            Self::Made(bytes) => bytes.len() as u64,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Folder(Folder),
    File { mode: u32, mtime: u64, content: Content },
    Symlink { mtime: u64, target: OsString },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) mode: u32,
    pub(super) mtime: u64,
    pub(super) children: BTreeMap<OsString, Node>,
}

impl Default for Folder {
    fn default() -> Self {
        Self { mode: 0o755, mtime: 0, children: BTreeMap::new() }
    }
}

/// The reason why an entry has no place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misplaced {
    #[error("its path contains `..` or NUL")]
    Path,
    #[error("its path leads through more than {MAX_SYMLINKS} symlinks")]
    Symlinks,
    #[error("its path leads through a file")]
    ThroughFile,
    #[error("the file that it links to does not exist")]
    NoTarget,
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) root: Folder,
}

impl Tree {
    /// Puts a node in its place, instead of an earlier node there. A folder that is listed again keeps its children.
    pub(super) fn put(&mut self, path: &[u8], node: Node) -> Result<(), Misplaced> {
        let mut names = names(path)?;
        let Some(name) = names.pop() else {
            if let Node::Folder(Folder { mode, mtime, .. }) = node {
                (self.root.mode, self.root.mtime) = (mode, mtime);
            }
            return Ok(());
        };
        let parent = self.folder(&names)?;
        match (parent.children.get_mut(&name), node) {
            (Some(Node::Folder(there)), Node::Folder(new)) => (there.mode, there.mtime) = (new.mode, new.mtime),
            (_, node) => drop(parent.children.insert(name, node)),
        }
        Ok(())
    }

    /// Adds another name of a file (or symlink) in the tree.
    pub(super) fn hard_link(&mut self, path: &[u8], existing: &[u8]) -> Result<(), Misplaced> {
        let mut names = names(existing)?;
        let name = names.pop().ok_or(Misplaced::NoTarget)?;
        let node = self.folder(&names)?.children.get(&name).cloned();
        match node {
            Some(node @ (Node::File { .. } | Node::Symlink { .. })) => self.put(path, node),
            Some(Node::Folder(_)) | None => Err(Misplaced::NoTarget),
        }
    }

    pub(super) fn remove(&mut self, path: &[u8]) -> Result<(), Misplaced> {
        let mut names = names(path)?;
        if let Some(name) = names.pop() {
            self.folder(&names)?.children.remove(&name);
        }
        Ok(())
    }

    /// Empties the folder of a path.
    pub(super) fn empty(&mut self, path: &[u8]) -> Result<&mut Folder, Misplaced> {
        let folder = self.folder(&names(path)?)?;
        folder.children.clear();
        Ok(folder)
    }

    /// Makes an empty folder of exactly this path, replacing any other node on the way.
    pub(super) fn make_empty(&mut self, path: &str) -> &mut Folder {
        let mut folder = &mut self.root;
        for name in path.split('/') {
            let next = folder.children.entry(name.into()).or_insert_with(|| Node::Folder(Folder::default()));
            if !matches!(next, Node::Folder(_)) {
                *next = Node::Folder(Folder::default());
            }
            let Node::Folder(next) = next else { unreachable!("it was just made") };
            folder = next;
        }
        folder.children.clear();
        folder
    }

    /// Finds the node of a path, following symlinks.
    pub(super) fn find(&self, path: &str) -> Option<&Node> {
        let Ok(mut pending) = names(path.as_bytes()) else { return None };
        pending.reverse();
        let (mut at, mut followed) = (Vec::<&OsStr>::new(), 0);
        let mut found = None;
        while let Some(name) = pending.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let (key, node) = self.child(&at, &name)?;
            match node {
                Node::Symlink { target, .. } => {
                    followed += 1;
                    if followed > MAX_SYMLINKS {
                        return None;
                    }
                    if target.as_bytes().starts_with(b"/") {
                        at.clear();
                    }
                    pending.extend(components(target).into_iter().rev());
                }
                other => {
                    at.push(key);
                    found = Some(other);
                }
            }
        }
        found
    }

    fn child(&self, at: &[&OsStr], name: &OsStr) -> Option<(&OsStr, &Node)> {
        let mut folder = &self.root;
        for name in at {
            let Some(Node::Folder(next)) = folder.children.get(*name) else { return None };
            folder = next;
        }
        folder.children.get_key_value(name).map(|(key, node)| (key.as_os_str(), node))
    }

    /// The folder that the names lead to, as seen from the root with symlinks followed; made where it is missing.
    fn folder(&mut self, path: &[OsString]) -> Result<&mut Folder, Misplaced> {
        let real = self.real(path)?;
        let mut folder = &mut self.root;
        for name in real {
            let next = folder.children.entry(name).or_insert_with(|| Node::Folder(Folder::default()));
            let Node::Folder(next) = next else { return Err(Misplaced::ThroughFile) };
            folder = next;
        }
        Ok(folder)
    }

    /// Resolves the symlinks of a path.
    fn real(&self, path: &[OsString]) -> Result<Vec<OsString>, Misplaced> {
        let mut pending: Vec<OsString> = path.iter().rev().cloned().collect();
        let (mut real, mut followed) = (Vec::<OsString>::new(), 0);
        while let Some(name) = pending.pop() {
            if name == ".." {
                real.pop();
                continue;
            }
            let at: Vec<&OsStr> = real.iter().map(OsString::as_os_str).collect();
            match self.child(&at, &name) {
                Some((_, Node::Symlink { target, .. })) => {
                    followed += 1;
                    if followed > MAX_SYMLINKS {
                        return Err(Misplaced::Symlinks);
                    }
                    if target.as_bytes().starts_with(b"/") {
                        real.clear();
                    }
                    pending.extend(components(target).into_iter().rev());
                }
                Some((_, Node::File { .. })) => return Err(Misplaced::ThroughFile),
                Some((_, Node::Folder(_))) | None => real.push(name),
            }
        }
        Ok(real)
    }
}

/// The names of an entry's path, from the root whether it begins with a slash or not.
fn names(path: &[u8]) -> Result<Vec<OsString>, Misplaced> {
    if path.contains(&0) {
        return Err(Misplaced::Path);
    }
    let names = components(OsStr::from_bytes(path));
    if names.iter().any(|name| name == "..") { Err(Misplaced::Path) } else { Ok(names) }
}

fn components(path: &OsStr) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    Path::new(path).components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node::File { mode: 0o644, mtime: 0, content: Content::Made(text.into()) }
    }

    fn symlink(target: &str) -> Node {
        Node::Symlink { mtime: 0, target: target.into() }
    }

    #[test]
    fn entries_follow_the_symlinks_of_earlier_layers_but_never_leave() {
        let mut tree = Tree::default();
        tree.put(b"./usr/bin/", Node::Folder(Folder::default())).unwrap();
        tree.put(b"bin", symlink("usr/bin")).unwrap();
        tree.put(b"etc/out", symlink("../../../../usr")).unwrap();
        tree.put(b"loop", symlink("/loop")).unwrap();
        tree.put(b"/bin/sh", file("shell")).unwrap();
        tree.put(b"etc/out/made", file("in the root")).unwrap();
        assert_eq!(tree.find("/usr/bin/sh"), Some(&file("shell")));
        assert_eq!(tree.find("bin/sh"), Some(&file("shell")));
        assert_eq!(tree.find("/usr/made"), Some(&file("in the root")));
        assert_eq!(tree.put(b"loop/x", file("")), Err(Misplaced::Symlinks));
        assert_eq!(tree.find("loop"), None);
        assert_eq!(tree.put(b"bin/sh/x", file("")), Err(Misplaced::ThroughFile));
        assert_eq!(tree.put(b"a/../b", file("")), Err(Misplaced::Path));
        assert_eq!(tree.put(b"a\0b", file("")), Err(Misplaced::Path));
    }

    #[test]
    fn what_comes_later_wins() {
        let mut tree = Tree::default();
        tree.put(b"a/b", file("1")).unwrap();
        tree.put(b"a", Node::Folder(Folder { mode: 0o700, ..Folder::default() })).unwrap();
        assert_eq!(tree.find("a/b"), Some(&file("1")), "a folder that is listed again keeps what is in it");
        tree.hard_link(b"c", b"a/b").unwrap();
        tree.put(b"a/b", file("2")).unwrap();
        assert_eq!((tree.find("c"), tree.find("a/b")), (Some(&file("1")), Some(&file("2"))));
        assert_eq!(tree.hard_link(b"d", b"a"), Err(Misplaced::NoTarget));
        assert_eq!(tree.hard_link(b"d", b"nothing"), Err(Misplaced::NoTarget));
        tree.put(b"a", symlink("c")).unwrap();
        assert_eq!(tree.find("a"), Some(&file("1")));
        tree.remove(b"a").unwrap();
        assert_eq!(tree.find("a"), None);
    }
}
