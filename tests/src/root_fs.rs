//! The least of a root file system: a shell and a few programs of this machine, with their libraries.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Paths and contents, all of them programs or libraries. There is no folder that a sandbox mounts on, and no user.
pub fn small_root() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for program in ["sh", "cat", "ls"] {
        let host = std::fs::canonicalize(Path::new("/bin").join(program)).expect("the program is there");
        files.insert(format!("bin/{program}"), std::fs::read(&host).expect("it can be read"));
        let needed = Command::new("ldd").arg(&host).output().expect("ldd runs");
        let needed = String::from_utf8(needed.stdout).expect("ldd writes text");
        for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
            files.insert(library.trim_start_matches('/').to_owned(), std::fs::read(library).expect("a library"));
        }
    }
    files
}
