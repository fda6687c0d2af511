//! Nothing of a run stays on the machine: not when it ends well, not when its handle is dropped, not when the
//! executor is killed.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use executor::sandbox::{Limits, Network, Root, SandboxConfig, SandboxHost, SandboxSpec};
use support::{DEADLINE, Machine, config};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};

/// What of a host's runs is on this machine: processes of its uids, run directories, control groups.
fn leftovers(config: &SandboxConfig) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let uids = config.uid_base..config.uid_base + 1000;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:\t")?.split('\t').next()?.parse::<u32>().ok());
        let zombie = status.contains("State:\tZ");
        if uid.is_some_and(|uid| uids.contains(&uid)) && !zombie {
            found.insert(format!("process {}", process.file_name().display()));
        }
    }
    for run in fs::read_dir(config.work_dir.join("runs")).into_iter().flatten().flatten() {
        found.insert(format!("directory {}", run.file_name().display()));
    }
    for controller in CONTROLLERS {
        for group in children(&parent_group(config, controller)).iter().flat_map(|host| children(host)) {
            found.insert(format!("group {}", group.display()));
        }
    }
    found
}

/// Those of cgroup v1, and the only directory of v2.
const CONTROLLERS: [&str; 6] = ["", "memory", "pids", "cpu", "cpuacct", "blkio"];

fn parent_group(config: &SandboxConfig, controller: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(controller).join(&config.cgroup_parent)
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// A configuration whose uids and control groups nobody else uses, so that they can be looked for. (With an OCI runtime,
/// a host has users 100,000 and 200,000 above its own, too: the others' begin at 1,700,000.)
struct OwnConfig(SandboxConfig);

impl OwnConfig {
    fn new(folder: &Path, uid_base: u32) -> Self {
        let cgroup_parent = format!("crownest-test-{uid_base}").into();
        Self(SandboxConfig { uid_base, cgroup_parent, ..config(folder) })
    }
}

impl std::ops::Deref for OwnConfig {
    type Target = SandboxConfig;

    fn deref(&self) -> &SandboxConfig {
        &self.0
    }
}

impl Drop for OwnConfig {
    fn drop(&mut self) {
        // Hosts share their parent group with others and leave it; here nobody else needs it.
        for controller in CONTROLLERS {
            let _ = fs::remove_dir(parent_group(self, controller));
        }
    }
}

fn wait_until_nothing_is_left(config: &SandboxConfig) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = leftovers(config);
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {found:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn spec<'a>(label: &'a str, slot: u32, lower: &'a Path, command: &'a str) -> SandboxSpec<'a> {
    let (command, network) = (command.as_ref(), Network::Nothing);
    SandboxSpec { label, slot, lower, root: Root::Host, command, env: &[], limits: Limits::default(), network }
}

/// Processes that do their best to stay: deaf, in sessions of their own, holding the output.
const CLINGING: &str =
    "trap '' TERM HUP; for i in 1 2 3; do setsid sleep 1000 & done; mkdir -p a/b; echo ready; sleep 1000";

#[tokio::test]
async fn finishing_leaves_nothing_even_with_the_command_running() {
    let folder = tempfile::tempdir().unwrap();
    let config = OwnConfig::new(folder.path(), 1_500_000);
    let host = SandboxHost::open(config.clone()).await.unwrap();
    let mut sandbox = host.start(spec("a", 1, folder.path(), CLINGING)).await.unwrap();
    let mut ready = [0; 6];
    sandbox.take_stdout().unwrap().read_exact(&mut ready).await.unwrap();
    assert!(leftovers(&config).len() > 5);
    assert!(sandbox.finish().await.cleanup.is_ok());
    assert_eq!(leftovers(&config), BTreeSet::new());
}

#[tokio::test]
async fn dropping_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = OwnConfig::new(folder.path(), 1_501_000);
    let host = SandboxHost::open(config.clone()).await.unwrap();
    for slot in 1..4 {
        let label = format!("run-{slot}");
        let mut sandbox = host.start(spec(&label, slot, folder.path(), CLINGING)).await.unwrap();
        sandbox.take_stdout().unwrap().read_exact(&mut [0; 6]).await.unwrap();
    }
    // Abandoned at any point of its start, too.
    for (slot, microseconds) in (10..).zip([0, 300, 1000, 2000, 4000, 6000, 8000, 12000]) {
        let label = format!("run-{slot}");
        let start = host.start(spec(&label, slot, folder.path(), CLINGING));
        let _ = tokio::time::timeout(Duration::from_micros(microseconds), start).await;
    }
    wait_until_nothing_is_left(&config);
    drop(host);
    let deadline = Instant::now() + DEADLINE;
    while CONTROLLERS.iter().any(|controller| !children(&parent_group(&config, controller)).is_empty()) {
        assert!(Instant::now() < deadline, "the host's own group stays");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn deep_and_unreadable_leftovers_are_removed() {
    let machine = Machine::open().await;
    let script = "for i in $(seq 1500); do mkdir d && cd d || exit 9; done; touch f; chmod 000 /workspace/d; ln -s / /workspace/root";
    let run = machine.run(script).await;
    assert_eq!(run.code(), Some(0), "{}", run.err());
    assert_eq!(fs::read_dir(machine.work_dir().join("runs")).unwrap().count(), 0);
}

const HOLD: &str = "CROWNEST_TEST_HOLD";
const HOLDER_UIDS: u32 = 1_502_000;

/// Not a test by itself: the process that `an_executor_killed_hard…` kills. Without its variable there is nothing to do.
#[test]
fn holder_process() {
    let Some(folder) = std::env::var_os(HOLD).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = SandboxHost::open(OwnConfig::new(&folder, HOLDER_UIDS).clone()).await.unwrap();
        let mut running = Vec::new();
        for slot in 1..4 {
            let label = format!("run-{slot}");
            let mut sandbox = host.start(spec(&label, slot, &folder.join("tree"), CLINGING)).await.unwrap();
            let mut stdout = tokio::io::BufReader::new(sandbox.take_stdout().unwrap());
            stdout.read_line(&mut String::new()).await.unwrap();
            running.push((sandbox, stdout));
        }
        println!("holding");
        std::future::pending::<()>().await;
    });
}

#[tokio::test]
async fn an_executor_killed_hard_takes_its_sandboxes_along_and_the_next_one_sweeps() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tree")).unwrap();
    let config = OwnConfig::new(folder.path(), HOLDER_UIDS);
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder_process", "--nocapture", "--test-threads=1"])
        .env(HOLD, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("holding")));
    let second = SandboxHost::open(config.clone()).await.unwrap_err();
    assert!(second.to_string().contains("locked by another executor"), "{second}");
    let is_process = |left: &String| left.starts_with("process");
    // Each run has bubblewrap twice, a shell and four sleeps, which the shell may still be starting.
    let deadline = Instant::now() + DEADLINE;
    while leftovers(&config).iter().filter(|left| is_process(left)).count() != 3 * 7 {
        assert!(Instant::now() < deadline, "{:?}", leftovers(&config));
        std::thread::sleep(Duration::from_millis(5));
    }

    holder.kill().unwrap();
    holder.wait().unwrap();
    let deadline = Instant::now() + DEADLINE;
    while leftovers(&config).iter().any(is_process) {
        assert!(Instant::now() < deadline, "{:?}", leftovers(&config));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!leftovers(&config).is_empty(), "directories wait for the sweep");
    let host = SandboxHost::open(config.clone()).await.unwrap();
    assert_eq!(leftovers(&config), BTreeSet::new());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("crownest"), "{mounts}");
    drop(host);
}

#[tokio::test]
async fn the_sweep_kills_what_survived_in_a_control_group() {
    let folder = tempfile::tempdir().unwrap();
    let config = OwnConfig::new(folder.path(), 1_503_000);
    let host = SandboxHost::open(config.clone()).await.unwrap();
    let sandbox = host.start(spec("a", 1, folder.path(), "exec sleep 1000")).await.unwrap();
    let groups: Vec<String> =
        leftovers(&config).into_iter().filter_map(|left| Some(left.strip_prefix("group ")?.to_owned())).collect();
    // A process of ours takes the run's place, as one would that escaped the death of its executor.
    let mut survivor = Command::new("sleep").arg("1000").spawn().unwrap();
    assert!(sandbox.finish().await.cleanup.is_ok());
    drop(host);
    for group in &groups {
        fs::create_dir_all(group).unwrap();
        fs::write(Path::new(group).join("cgroup.procs"), survivor.id().to_string()).unwrap();
    }
    fs::create_dir_all(config.work_dir.join("runs/a/upper/x")).unwrap();
    let _host = SandboxHost::open(config.clone()).await.unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&survivor.wait().unwrap()), Some(9));
    assert_eq!(leftovers(&config), BTreeSet::new());
}
