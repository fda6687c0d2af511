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

/// A tar of these files, with an owner and bits that an import does not take over.
pub fn root_tar(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o4755);
        header.set_uid(1234);
        tar.append_data(&mut header, path, &content[..]).expect("in memory");
    }
    tar.into_inner().expect("in memory")
}

/// The path of a tar of a small root file system, in which `/etc/marker` has this text.
pub fn marked_root(folder: &Path, marker: &str) -> String {
    let mut files = small_root();
    files.insert("etc/marker".to_owned(), marker.into());
    let path = folder.join(format!("{marker}.tar"));
    std::fs::write(&path, root_tar(&files)).expect("a file");
    path.display().to_string()
}
