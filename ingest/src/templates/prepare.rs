//! Makes a tree fit to be a sandbox's root: the folders that are mounted on, a user, a shell.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::error::TemplateError;
use super::tree::{Content, Node, Tree};

/// Folders on which the sandbox mounts its own, or which stay empty. None may be a symlink.
const EMPTY: [&str; 7] = ["dev", "home/runner", "proc", "run", "sys", "tmp", "workspace"];
/// Tables of names, each with the line that names the sandbox's user.
const NAMES: [(&str, &str); 2] =
    [("etc/passwd", "runner:x:1000:1000:runner:/home/runner:/bin/sh\n"), ("etc/group", "runner:x:1000:\n")];
/// Maximum length of such a table.
const MAX_NAMES_BYTES: u64 = 1 << 20;
const SHELL: &str = "bin/sh";

pub(super) fn prepare(tree: &mut Tree, spool: &File) -> Result<(), TemplateError> {
    let unfit = |path: &str, reason: String| TemplateError::Unfit { path: path.to_owned(), reason };
    match tree.find(SHELL) {
        Some(Node::File { mode, .. }) if mode & 0o111 != 0 => {}
        _ => return Err(unfit(SHELL, "expected a program: every command is run by it".to_owned())),
    }
    for path in EMPTY {
        let folder = tree.make_empty(path);
        (folder.mode, folder.mtime) = (0o755, 0);
    }
    for (path, line) in NAMES {
        let (mode, mtime, mut text) = match tree.find(path) {
            Some(Node::File { mode, mtime, content }) => {
                (*mode, *mtime, read(content, spool).map_err(|error| unfit(path, error.to_string()))?)
            }
            Some(_) => return Err(unfit(path, "expected a file".to_owned())),
            None => (0o644, 0, Vec::new()),
        };
        if has_id_1000(&text) {
            continue;
        }
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        let node = Node::File { mode: mode | 0o444, mtime, content: Content::Made(text) };
        tree.put(path.as_bytes(), node).map_err(|reason| unfit(path, reason.to_string()))?;
    }
    Ok(())
}

/// Looks for the id in the third field of every line.
fn has_id_1000(table: &[u8]) -> bool {
    table.split(|byte| *byte == b'\n').any(|line| line.split(|byte| *byte == b':').nth(2) == Some(b"1000"))
}

fn read(content: &Content, spool: &File) -> io::Result<Vec<u8>> {
    match content {
        Content::Made(bytes) => Ok(bytes.clone()),
        Content::Spooled { len, .. } if *len > MAX_NAMES_BYTES => {
            Err(io::Error::other(format!("expected at most {MAX_NAMES_BYTES} bytes")))
        }
        Content::Spooled { offset, len } => {
            let mut bytes = vec![0; usize::try_from(*len).map_err(io::Error::other)?];
            spool.read_exact_at(&mut bytes, *offset)?;
            Ok(bytes)
        }
    }
}
