//! Patterns of artifact paths (`reports/**/*.xml`) and the files of a workspace that match them.
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use globset::{GlobBuilder, GlobMatcher};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::place::{normalize, open_place};
use super::walk::{Budget, Depth, WalkError, walk};

/// A search that takes longer is not worth its result; patterns of strangers may be slow to match.
const DEADLINE: Duration = Duration::from_secs(60);
/// Longest pattern: nobody writes longer ones, they are only work.
const MAX_BYTES: usize = 1024;

/// `*` and `?` match within a name, `**` as a whole name any number of folders, `[…]` one of some characters, `{a,b}`
/// one of some alternatives. Names that begin with a dot are names like others.
#[derive(Debug)]
pub struct Pattern {
    matcher: GlobMatcher,
    /// Folders that are named as they are: only what is in there is looked at.
    folder: String,
    depth: Depth,
}

/// The files that a pattern found, in the order of a walk.
#[derive(Debug)]
pub struct Matches {
    /// Relative to the workspace; regular files at the time of the search.
    pub paths: Vec<PathBuf>,
    /// Why there may be more.
    pub incomplete: Option<WalkError>,
}

impl Pattern {
    /// Parses a pattern; `None` if the text is the plain name of one file.
    pub fn parse(requested: &str) -> Option<Self> {
        if !requested.contains(['*', '?', '[', '{']) || requested.len() > MAX_BYTES {
            return None;
        }
        let path = normalize(requested)?;
        let glob = GlobBuilder::new(&path).literal_separator(true).backslash_escape(false).build().ok()?;
        let plain = |name: &&str| !name.contains(['*', '?', '[', '{']);
        let folder: Vec<&str> = path.split('/').take_while(plain).collect();
        // Alternatives may contain slashes.
        let depth = if path.contains("**") || path.contains('{') {
            Depth::All
        } else {
            Depth::Levels(path.split('/').count() - folder.len())
        };
        Some(Self { matcher: glob.compile_matcher(), folder: folder.join("/"), depth })
    }

    /// Finds all regular files that match, up to `limit`. Symlinks are not followed, and do not match.
    pub fn find(&self, workspace: BorrowedFd<'_>, limit: usize, budget: &mut Budget) -> Matches {
        let mut paths = Vec::new();
        let incomplete = self.search(workspace, limit, budget, &mut paths).err();
        Matches { paths, incomplete }
    }

    fn search(
        &self,
        workspace: BorrowedFd<'_>,
        limit: usize,
        budget: &mut Budget,
        paths: &mut Vec<PathBuf>,
    ) -> Result<(), WalkError> {
        let name = if self.folder.is_empty() { "." } else { &self.folder };
        let folder = match open_place(workspace, name) {
            Ok(folder) => folder,
            // No such folder, so nothing in it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => return Ok(()),
            Err(errno) => return Err(WalkError::Io { path: self.folder.clone(), source: errno.into() }),
        };
        let stat = rustix::fs::fstat(&folder)
            .map_err(|errno| WalkError::Io { path: self.folder.clone(), source: errno.into() })?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        let deadline = Instant::now() + DEADLINE;
        walk(folder.as_fd(), Path::new(&self.folder), self.depth, budget, &mut |path, entry| {
            if Instant::now() > deadline {
                return Err(WalkError::TooSlow { seconds: DEADLINE.as_secs() });
            }
            if entry.kind == FileType::RegularFile && self.matcher.is_match(path) {
                if paths.len() == limit {
                    return Err(WalkError::TooManyMatches { limit });
                }
                paths.push(path.to_owned());
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_say_where_to_look() {
        for (requested, folder, depth) in [
            ("*.xml", "", Depth::Levels(1)),
            ("/workspace/./out//*.xml", "out", Depth::Levels(1)),
            ("a/b/*/c?.txt", "a/b", Depth::Levels(2)),
            ("a/**/x", "a", Depth::All),
            ("a/{b/c,d}.txt", "a", Depth::All),
            ("[ab]/c", "", Depth::Levels(2)),
        ] {
            let pattern = Pattern::parse(requested).unwrap();
            assert_eq!((pattern.folder.as_str(), pattern.depth), (folder, depth), "{requested}");
        }
        for requested in ["plain", "a/b", "[", "a{b", "/etc/*", "../*", &"*".repeat(2000)] {
            assert!(Pattern::parse(requested).is_none(), "{requested}");
        }
    }

    #[test]
    fn patterns_match_names() {
        for (requested, path, expected) in [
            ("*.xml", "a.xml", true),
            ("*.xml", ".xml", true),
            ("*.xml", "a/b.xml", false),
            ("**/*.xml", "b.xml", true),
            ("**/*.xml", "a/b/c.xml", true),
            ("a/**", "a/b/c", true),
            ("a?c", "a\nc", true),
            ("a?c", "a/c", false),
            ("[!a]*", "b", true),
            ("[!a]*", "a", false),
            ("r.{xml,html}", "r.html", true),
            ("a\\*", "a\\b", true),
        ] {
            assert_eq!(Pattern::parse(requested).unwrap().matcher.is_match(path), expected, "{requested} {path:?}");
        }
    }
}
