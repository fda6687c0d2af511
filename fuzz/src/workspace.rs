//! Paths and patterns of artifacts, resolved in a folder with traps.
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::sync::LazyLock;

use executor::workspace::{Artifact, Budget, Pattern, open_artifact, open_match};
use tempfile::TempDir;

/// Folder whose files contain their own paths; files outside say that they are outside.
static WORKSPACE: LazyLock<Option<(TempDir, File)>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().ok()?;
    let inside = folder.path().join("workspace");
    fs::create_dir_all(inside.join("a/b/c")).ok()?;
    fs::write(folder.path().join("outside.txt"), "outside").ok()?;
    for name in ["x.xml", "a/y.xml", "a/b/z.txt", "a/b/c/{q}[r]", "a/.hidden"] {
        fs::write(inside.join(name), "inside").ok()?;
    }
    symlink("../outside.txt", inside.join("out")).ok()?;
    symlink("..", inside.join("up")).ok()?;
    symlink("/", inside.join("root")).ok()?;
    symlink("../x.xml", inside.join("a/in")).ok()?;
    let open = File::open(&inside).ok()?;
    Some((folder, open))
});

pub(crate) fn artifacts(bytes: &[u8]) -> bool {
    let (Ok(requested), Some((_, workspace))) = (std::str::from_utf8(bytes), &*WORKSPACE) else { return false };
    if requested.contains('\0') {
        return false;
    }
    if let Ok(Artifact::File(found)) = open_artifact(workspace.as_fd(), requested) {
        assert_inside(found.file);
    }
    let Some(pattern) = Pattern::parse(requested) else { return true };
    for path in pattern.find(workspace.as_fd(), 10, &mut Budget::of(100)).paths {
        match open_match(workspace.as_fd(), &path) {
            Ok(found) => assert_inside(found.file),
            Err(error) => panic!("{requested:?} found {path:?}: {error}"),
        }
    }
    true
}

fn assert_inside(mut file: File) {
    let mut content = String::new();
    assert!(file.read_to_string(&mut content).is_ok() && content == "inside", "{content:?}");
}
