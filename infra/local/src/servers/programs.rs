//! Finds installed programs: in the folders where packages put them, else in `PATH`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that `path` leads to, as /proc names it, if it is one.
pub(super) fn file(path: impl AsRef<Path>) -> Option<PathBuf> {
    path.as_ref().canonicalize().ok().filter(|path| path.is_file())
}

pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).find_map(|dir| file(dir.join(name)))
}

/// A program that `infra/setup.sh` installs: the one that the variable names, else ours, else that in `PATH`.
pub fn installed(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(named) = env::var_os(variable) {
        return file(named);
    }
    let own = || file(PathBuf::from(env::var_os("HOME")?).join(".local/share/crownest/bin").join(name));
    file(Path::new("/opt/crownest/bin").join(name)).or_else(own).or_else(|| in_path(name))
}

/// Folders directly below `parent` whose names begin with `prefix`, with the rest of the name.
pub(super) fn versions(parent: &str, prefix: &str) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let named =
        |entry: fs::DirEntry| Some((entry.file_name().to_str()?.strip_prefix(prefix)?.to_owned(), entry.path()));
    let mut found: Vec<_> = entries.flatten().filter_map(named).collect();
    found.sort();
    found
}
