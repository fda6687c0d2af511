//! Artifacts: what a run may hand out by name, and what it tries to.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
#[path = "../sandbox/tests/support/mod.rs"]
mod support;

use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::{fs, os::fd::AsFd as _};

use executor::workspace::{Artifact, ArtifactFile, open_artifact};
use schemas::artifact::ArtifactErrorCode;
use support::Machine;

fn file(artifact: Artifact) -> ArtifactFile {
    let Artifact::File(file) = artifact else { panic!("{artifact:?}") };
    file
}

#[tokio::test]
async fn are_readable_after_the_command_has_ended() {
    let machine = Machine::open().await;
    let mut sandbox =
        machine.start("mkdir out; printf result > out/r.txt; chmod 000 out/r.txt; ln -s out/r.txt l").await;
    assert_eq!(sandbox.wait().await.unwrap().exit_code, Some(0));
    for (requested, path, content) in [
        ("out/r.txt", "out/r.txt", "result"),
        ("/workspace/./out/../out/r.txt", "out/r.txt", "result"),
        ("l", "l", "result"),
        // From the archive, untouched by the run.
        ("hello.txt", "hello.txt", "hello\n"),
    ] {
        let mut artifact = file(open_artifact(sandbox.workspace(), requested).unwrap());
        let mut read = String::new();
        artifact.file.read_to_string(&mut read).unwrap();
        assert_eq!((artifact.path.as_str(), read.as_str()), (path, content));
        assert_eq!(artifact.size_bytes, content.len() as u64);
    }
    assert!(sandbox.finish().await.cleanup.is_ok());
}

#[test]
fn never_lead_outside_and_never_block() {
    use ArtifactErrorCode::{ArtifactCollectFailed, FileNotFound, PathOutsideWorkspace};
    let folder = tempfile::tempdir().unwrap();
    let (workspace, outside) = (folder.path().join("workspace"), folder.path().join("outside"));
    fs::create_dir_all(workspace.join("dir")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(workspace.join("file"), "x").unwrap();
    let links = [
        ("to-outside", "../outside/secret"),
        ("absolute", "/etc/passwd"),
        ("to-dir", "../outside"),
        ("dir/up", "../../outside/secret"),
        ("loop", "loop"),
        ("dangling", "nothing"),
        ("magic", "/proc/self/exe"),
        ("dir/inside", "../file"),
    ];
    for (link, target) in links {
        symlink(target, workspace.join(link)).unwrap();
    }
    let fifo = rustix::fs::CWD;
    rustix::fs::mknodat(fifo, workspace.join("fifo"), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let zero = rustix::fs::makedev(1, 5);
    rustix::fs::mknodat(fifo, workspace.join("device"), rustix::fs::FileType::CharacterDevice, 0o644.into(), zero)
        .unwrap();
    let _socket = UnixListener::bind(workspace.join("socket")).unwrap();
    let root = fs::File::open(&workspace).unwrap();
    for (requested, name) in [("", "workspace"), ("/workspace", "workspace"), ("dir", "dir"), ("file/../dir/", "dir")] {
        let Ok(Artifact::Folder(folder)) = open_artifact(root.as_fd(), requested) else { panic!("{requested}") };
        assert_eq!(folder.name, name);
    }
    let code = |requested: &str| open_artifact(root.as_fd(), requested).err().map(|error| error.code());
    for (requested, expected) in [
        ("file", None),
        ("dir/inside", None),
        ("../outside/secret", Some(PathOutsideWorkspace)),
        ("/etc/passwd", Some(PathOutsideWorkspace)),
        ("/workspace/../etc/passwd", Some(PathOutsideWorkspace)),
        ("to-outside", Some(PathOutsideWorkspace)),
        ("absolute", Some(PathOutsideWorkspace)),
        ("to-dir/secret", Some(PathOutsideWorkspace)),
        ("dir/up", Some(PathOutsideWorkspace)),
        ("magic", Some(PathOutsideWorkspace)),
        ("missing", Some(FileNotFound)),
        ("dangling", Some(FileNotFound)),
        ("file/below", Some(FileNotFound)),
        ("to-dir", Some(PathOutsideWorkspace)),
        (&"n".repeat(300), Some(FileNotFound)),
        ("loop", Some(ArtifactCollectFailed)),
        ("fifo", Some(ArtifactCollectFailed)),
        ("device", Some(ArtifactCollectFailed)),
        ("socket", Some(ArtifactCollectFailed)),
    ] {
        assert_eq!(code(requested), expected, "{requested}");
    }
}
