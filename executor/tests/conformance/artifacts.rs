//! Files that a run hands out, and files that it must not hand out: opened from outside, in the workspace that a
//! sandbox has left.
use std::collections::BTreeSet;
use std::io::Read as _;

use executor::workspace::{Artifact, open_artifact};
use schemas::artifact::ArtifactErrorCode::{self, ArtifactCollectFailed, FileNotFound, PathOutsideWorkspace};

use crate::engine::{Engine, on_each_engine};
use crate::support::DEADLINE;

struct Requested {
    name: &'static str,
    #[expect(dead_code, reason = "read by people, and by whoever looks for a CVE")]
    mechanism: &'static str,
    /// The command, which ends after this.
    command: &'static str,
    path: &'static str,
    expect: Result<&'static str, ArtifactErrorCode>,
    /// A guest's kernel keeps it to itself: for the host there is nothing.
    is_of_kernel: bool,
}

const fn requested(
    name: &'static str,
    mechanism: &'static str,
    command: &'static str,
    path: &'static str,
    expect: Result<&'static str, ArtifactErrorCode>,
) -> Requested {
    Requested { name, mechanism, command, path, expect, is_of_kernel: false }
}

#[rustfmt::skip]
const ARTIFACTS: &[Requested] = &[
    requested("a file", "openat2(2)", "mkdir out; printf result > out/r", "out/r", Ok("result")),
    requested("a file by its whole path", "normalization", "printf result > r", "/workspace/./x/../r", Ok("result")),
    requested("a file that nobody may read", "the host reads as root", "printf result > r; chmod 000 r", "r", Ok("result")),
    requested("a file of the archive", "overlayfs", "true", "hello.txt", Ok("hello\n")),
    requested("a symlink within", "RESOLVE_BENEATH", "printf result > r; ln -s r l", "l", Ok("result")),
    requested("a symlink to the host", "symlinks: CVE-2018-15664", "ln -s /etc/passwd l", "l", Err(PathOutsideWorkspace)),
    requested("a relative symlink to the host", "symlinks: CVE-2018-15664", "ln -s ../../etc/passwd l", "l", Err(PathOutsideWorkspace)),
    requested("a folder that is a symlink", "symlinks: CVE-2021-30465", "ln -s /etc d", "d/passwd", Err(PathOutsideWorkspace)),
    requested("a magic link", "/proc/self/fd: CVE-2024-21626", "ln -s /proc/self/fd/1 l", "l", Err(PathOutsideWorkspace)),
    requested("the program of the reader", "/proc/self/exe: CVE-2019-5736", "ln -s /proc/self/exe l", "l", Err(PathOutsideWorkspace)),
    requested("a path that leads out", "path traversal", "true", "../../etc/passwd", Err(PathOutsideWorkspace)),
    requested("a file of /tmp", "another mount", "printf private > /tmp/t", "/tmp/t", Err(PathOutsideWorkspace)),
    requested("a file of /tmp beside the workspace's layer", "RESOLVE_BENEATH", "printf private > /tmp/t", "../tmp/t", Err(PathOutsideWorkspace)),
    requested("a symlink to /tmp", "symlinks: CVE-2018-15664", "printf private > /tmp/t; ln -s /tmp/t l", "l", Err(PathOutsideWorkspace)),
    requested("a symlink to /tmp beside the workspace's layer", "symlinks: CVE-2021-30465", "printf private > /tmp/t; ln -s ../tmp/t l", "l", Err(PathOutsideWorkspace)),
    requested("a loop", "ELOOP", "ln -s l l", "l", Err(ArtifactCollectFailed)),
    requested("nothing", "ENOENT", "true", "missing", Err(FileNotFound)),
    requested("a FIFO", "open(2) would wait", "python3 -c 'import os; os.mkfifo(\"f\")'", "f", Err(ArtifactCollectFailed)).of_kernel(),
    requested("a socket", "open(2) would fail", "python3 -c 'import socket; socket.socket(1).bind(\"s\")'", "s", Err(ArtifactCollectFailed)).of_kernel(),
];

impl Requested {
    const fn of_kernel(self) -> Self {
        Self { is_of_kernel: true, ..self }
    }
}

async fn what_is_handed_out(engine: Engine) {
    let machine = engine.open().await;
    let mut wrong = Vec::new();
    let names: BTreeSet<&str> = ARTIFACTS.iter().map(|artifact| artifact.name).collect();
    assert_eq!(names.len(), ARTIFACTS.len(), "two cases have one name");
    for case in ARTIFACTS {
        let mut sandbox = machine.start(case.command).await;
        let exit = tokio::time::timeout(DEADLINE, sandbox.wait()).await.expect("the run hangs").expect("an exit");
        let found = open_artifact(sandbox.workspace(), case.path).map_err(|error| error.code()).map(|artifact| {
            let Artifact::File(mut artifact) = artifact else { panic!("{}: {artifact:?}", case.name) };
            let mut content = String::new();
            artifact.file.read_to_string(&mut content).expect("it can be read");
            content
        });
        let nothing = engine == Engine::Runsc && case.is_of_kernel;
        let expected = if nothing { Err(FileNotFound) } else { case.expect };
        if exit.exit_code != Some(0) || found.as_deref().map_err(|code| *code) != expected {
            wrong.push(format!("{}: expected {expected:?}, got {found:?} after {exit:?}", case.name));
        }
        assert!(sandbox.finish().await.cleanup.is_ok());
    }
    assert!(wrong.is_empty(), "{engine:?}:\n{}", wrong.join("\n"));
}

on_each_engine!(what_is_handed_out);
