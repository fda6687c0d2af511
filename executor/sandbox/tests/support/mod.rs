//! Shared by the tests that need a sandbox: a host of their own on real disk, and a run from start to finish.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its part; a failed step is a failed test")]
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox::{Exit, Finished, Limits, Network, Root, Sandbox, SandboxConfig, SandboxHost, SandboxSpec};
use tokio::io::AsyncReadExt as _;

/// No test waits longer for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A host with its own work directory, control groups and tree.
pub(crate) struct Machine {
    pub(crate) host: SandboxHost,
    pub(crate) tree: PathBuf,
    pub(crate) folder: tempfile::TempDir,
    /// A root file system to use instead of the host's.
    pub(crate) root: Option<PathBuf>,
    next: AtomicU32,
}

pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) finished: Finished,
}

impl Outcome {
    pub(crate) fn code(&self) -> Option<i32> {
        self.exit.exit_code
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }
}

impl Machine {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let folder = tempfile::Builder::new().prefix("crownest-sandbox-").tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir_all(tree.join("src")).unwrap();
        std::fs::write(tree.join("hello.txt"), "hello\n").unwrap();
        std::fs::write(tree.join("src/main.c"), "int main;\n").unwrap();
        let mut config = config(folder.path());
        change(&mut config);
        let host = SandboxHost::open(config).await.unwrap();
        Self { host, tree, folder, root: None, next: AtomicU32::new(1) }
    }

    pub(crate) async fn start(&self, command: &str) -> Sandbox {
        self.start_with(command, &[], Limits::default()).await
    }

    pub(crate) async fn start_with(&self, command: &str, env: &[(OsString, OsString)], limits: Limits) -> Sandbox {
        let slot = self.next.fetch_add(1, Ordering::Relaxed);
        self.start_as(slot, command, env, limits, Network::Nothing).await
    }

    pub(crate) async fn start_with_proxy(&self, command: &str) -> Sandbox {
        let slot = self.next.fetch_add(1, Ordering::Relaxed);
        self.start_as(slot, command, &[], Limits::default(), Network::Proxy).await
    }

    pub(crate) async fn start_in(&self, slot: u32, command: &str) -> Sandbox {
        self.start_as(slot, command, &[], Limits::default(), Network::Nothing).await
    }

    async fn start_as(
        &self,
        slot: u32,
        command: &str,
        env: &[(OsString, OsString)],
        limits: Limits,
        network: Network,
    ) -> Sandbox {
        let label = format!("run-{slot}");
        let spec = SandboxSpec { limits, network, ..self.spec(&label, slot, command, env) };
        self.host.start(spec).await.unwrap()
    }

    pub(crate) fn spec<'a>(
        &'a self,
        label: &'a str,
        slot: u32,
        command: &'a str,
        env: &'a [(OsString, OsString)],
    ) -> SandboxSpec<'a> {
        SandboxSpec {
            label,
            slot,
            lower: self.tree_of(slot),
            root: self.root.as_deref().map_or(Root::Host, Root::Tree),
            command: command.as_ref(),
            env,
            limits: Limits::default(),
            network: Network::Nothing,
        }
    }

    /// Without root, a copy that belongs to the slot, as the cache would have it.
    fn tree_of(&self, slot: u32) -> &Path {
        let Some(owner) = self.host.tree_owner(slot) else { return &self.tree };
        let copy = self.folder.path().join(format!("tree-{slot}"));
        own_copy(&self.tree, &copy, owner);
        Box::leak(copy.into_boxed_path())
    }

    pub(crate) async fn run(&self, command: &str) -> Outcome {
        collect(self.start(command).await).await
    }

    pub(crate) async fn run_with(&self, command: &str, env: &[(OsString, OsString)], limits: Limits) -> Outcome {
        collect(self.start_with(command, env, limits).await).await
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.folder.path().join("work")
    }
}

pub(crate) fn config(folder: &Path) -> SandboxConfig {
    SandboxConfig::new(folder.join("work"))
}

/// Makes `copy` anew, and the user its owner.
pub(crate) fn own_copy(tree: &Path, copy: &Path, owner: u32) {
    let _ = std::fs::remove_dir_all(copy);
    let done = |command: &mut std::process::Command| assert!(command.status().unwrap().success());
    done(std::process::Command::new("cp").args(["-a", "--"]).arg(tree).arg(copy));
    done(std::process::Command::new("chown").args(["-Rh", &format!("{owner}:{owner}"), "--"]).arg(copy));
}

/// Reads both outputs to their end while waiting, as the executor does.
pub(crate) async fn collect(mut sandbox: Sandbox) -> Outcome {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (mut out, mut err) = (sandbox.take_stdout().unwrap(), sandbox.take_stderr().unwrap());
    let all = async { tokio::join!(sandbox.wait(), out.read_to_end(&mut stdout), err.read_to_end(&mut stderr)) };
    let (exit, _, _) = tokio::time::timeout(DEADLINE, all).await.expect("the run hangs");
    let exit = exit.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&stderr)));
    let finished = sandbox.finish().await;
    assert!(finished.cleanup.is_ok(), "{:?}", finished.cleanup);
    Outcome { exit, stdout, stderr, finished }
}
