//! Artifacts by pattern: which files of a workspace are found, and which must not be.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
#[path = "../sandbox/tests/support/mod.rs"]
mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use executor::workspace::{Artifact, Budget, Matches, Pattern, WalkError, open_artifact, open_match};
use support::Machine;

/// More than any case finds.
const MATCHES: usize = 1_000;

fn find(workspace: &Path, pattern: &str, limit: usize, budget: u32) -> Matches {
    let root = fs::File::open(workspace).unwrap();
    Pattern::parse(pattern).unwrap().find(root.as_fd(), limit, &mut Budget::of(budget))
}

fn found(workspace: &Path, pattern: &str) -> Vec<PathBuf> {
    let matches = find(workspace, pattern, MATCHES, Budget::ENTRIES);
    assert!(matches.incomplete.is_none(), "{matches:?}");
    matches.paths
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

#[tokio::test]
async fn find_what_the_command_and_the_archive_left() {
    let machine = Machine::open().await;
    let command = "mkdir -p out/b out/a; touch out/b/2.xml out/a/1.xml out/z.xml out/a/.hidden.xml 'star*.xml'; \
                   chmod 000 out/a out/b/2.xml; rm hello.txt";
    let mut sandbox = machine.start(command).await;
    assert_eq!(sandbox.wait().await.unwrap().exit_code, Some(0));
    let find = |pattern: &str| {
        Pattern::parse(pattern).unwrap().find(sandbox.workspace(), MATCHES, &mut Budget::default()).paths
    };
    assert_eq!(find("out/**/*.xml"), paths(&["out/a/.hidden.xml", "out/a/1.xml", "out/b/2.xml", "out/z.xml"]));
    assert_eq!(find("/workspace/*/*.[a-d]"), paths(&["src/main.c"]));
    assert_eq!(find("hello.*"), paths(&[]), "removed from the archive's tree");
    assert_eq!(find("*.xml"), paths(&["star*.xml"]));
    let exact = open_artifact(sandbox.workspace(), "star*.xml").unwrap();
    assert!(matches!(exact, Artifact::File(file) if file.path == "star*.xml"), "a name that is there is meant");
    for path in find("out/**") {
        open_match(sandbox.workspace(), &path).unwrap();
    }
    assert!(sandbox.finish().await.cleanup.is_ok());
}

#[test]
fn find_regular_files_only_and_never_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (workspace, outside) = (folder.path().join("workspace"), folder.path().join("outside"));
    fs::create_dir_all(workspace.join("dir.txt/deep")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.txt"), "secret").unwrap();
    symlink(&outside, workspace.join("out")).unwrap();
    symlink("..", workspace.join("dir.txt/up")).unwrap();
    symlink("dir.txt", workspace.join("inside")).unwrap();
    symlink("dir.txt/deep/real.txt", workspace.join("link.txt")).unwrap();
    fs::write(workspace.join("dir.txt/deep/real.txt"), "x").unwrap();
    let fifo = workspace.join("fifo.txt");
    rustix::fs::mknodat(rustix::fs::CWD, fifo, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    for name in [&b"new\nline.txt"[..], b"\xff.txt"] {
        fs::write(workspace.join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let strange = PathBuf::from(OsStr::from_bytes(b"\xff.txt"));
    assert_eq!(found(&workspace, "*.txt"), [PathBuf::from("new\nline.txt"), strange.clone()]);
    let all = [PathBuf::from("dir.txt/deep/real.txt"), PathBuf::from("new\nline.txt"), strange];
    assert_eq!(found(&workspace, "**/*.txt"), all);
    assert_eq!(found(&workspace, "**"), all);
    for pattern in ["out/*", "inside/**", "fifo.txt/*", "missing/*", "link.tx[t]"] {
        assert_eq!(found(&workspace, pattern), paths(&[]), "{pattern}");
    }
    // Swapped after the search.
    let root = fs::File::open(&workspace).unwrap();
    assert_eq!(open_match(root.as_fd(), &all[2]).unwrap().size_bytes, 1);
    fs::remove_file(workspace.join(&all[2])).unwrap();
    symlink(outside.join("secret.txt"), workspace.join(&all[2])).unwrap();
    fs::rename(workspace.join("dir.txt"), workspace.join("moved")).unwrap();
    symlink("moved", workspace.join("dir.txt")).unwrap();
    assert!(open_match(root.as_fd(), &all[0]).is_err() && open_match(root.as_fd(), &all[2]).is_err());
}

#[test]
fn stop_at_their_limits_with_what_they_have() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c", "d"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let matches = find(folder.path(), "*", 2, 100);
    assert_eq!(matches.paths, paths(&["a", "b"]));
    assert!(matches!(matches.incomplete, Some(WalkError::TooManyMatches { .. })));
    assert!(find(folder.path(), "*", 4, 4).incomplete.is_none());
    let matches = find(folder.path(), "*", 100, 3);
    assert!(matches!(matches.incomplete, Some(WalkError::TooManyEntries)), "{matches:?}");
    let mut deep = folder.path().join("d0");
    fs::create_dir(&deep).unwrap();
    for _ in 0..200 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    assert!(found(folder.path(), "d0/*/*").is_empty(), "what is deeper is not looked at");
    assert!(matches!(find(folder.path(), "d0/**", 9, 999).incomplete, Some(WalkError::TooDeep { .. })));
}

#[test]
fn a_search_ends_when_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("found"), "").unwrap();
    let root = fs::File::open(folder.path()).unwrap();
    for (gone, expected) in [(false, 1), (true, 0)] {
        let mut budget = Budget::default().until(Arc::new(AtomicBool::new(gone)));
        let matches = Pattern::parse("*").unwrap().find(root.as_fd(), MATCHES, &mut budget);
        assert_eq!(matches.paths.len(), expected);
        assert_eq!(matches!(matches.incomplete, Some(WalkError::Stopped)), gone, "{:?}", matches.incomplete);
    }
}
