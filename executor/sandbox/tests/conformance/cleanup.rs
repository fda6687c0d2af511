//! Nothing of a run is left: not after its end, not when nobody waits for it, not when the executor is killed.
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use sandbox::{DiskLimit, Limits, Network, Root, Sandbox, SandboxConfig, SandboxHost, SandboxSpec};
use tokio::io::AsyncReadExt as _;

use crate::engine::{Engine, on_each_engine};
use crate::ordinary::groups_of;
use crate::support::{DEADLINE, Machine, collect, config, own_copy};

/// Ignores what it can, and leaves processes in sessions of their own.
const CLINGING: &str =
    "trap '' TERM HUP; for i in 1 2 3; do setsid sleep 1000 & done; mkdir -p a/b; echo ready; sleep 1000";

const CONTROLLERS: [&str; 6] = ["", "memory", "pids", "cpu", "cpuacct", "blkio"];

fn own(engine: Engine, folder: &Path, of_test: u32) -> SandboxConfig {
    let uid_base = engine.uid_base(of_test);
    let cgroup_parent = format!("crownest-conformance-{uid_base}").into();
    SandboxConfig { engine: engine.config(), uid_base: Some(uid_base), cgroup_parent, ..config(folder) }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// A helper that waits for the next run does not belong to a run.
const WAITING: &str = "sandbox-ready";

fn is_of_a_run(group: &Path) -> bool {
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    members.is_empty() || members.lines().any(|pid| name(pid).trim() != WAITING)
}

/// Processes of the slots' users or in their control groups, run directories, control groups; of runs.
fn left(config: &SandboxConfig) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let group = config.cgroup_parent.to_string_lossy().into_owned();
    let base = config.uid_base.expect("chosen by the test");
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        let read = |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
        let status = read("status");
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:\t")?.split('\t').next()?.parse::<u32>().ok());
        let is_user = (1..100).flat_map(|slot| Engine::users(base + slot)).any(|user| uid == Some(user));
        let is_waiting = read("comm").trim() == WAITING;
        if (is_user || read("cgroup").contains(&group)) && !status.contains("State:\tZ") && !is_waiting {
            found.insert(format!("process {} {}", process.file_name().display(), read("comm").trim()));
        }
    }
    found.extend(children(&config.work_dir.join("runs")).iter().map(|run| format!("folder {}", run.display())));
    for controller in CONTROLLERS {
        let parent = groups_of(controller).join(&config.cgroup_parent);
        found.extend(
            children(&parent)
                .iter()
                .flat_map(|host| children(host))
                .filter(|group| is_of_a_run(group))
                .map(|run| format!("group {}", run.display())),
        );
    }
    found
}

/// Helpers that wait for runs end with their host, and a moment later those that were being prepared.
fn close(host: SandboxHost, config: &SandboxConfig) {
    drop(host);
    let deadline = Instant::now() + DEADLINE;
    for controller in CONTROLLERS {
        let parent = groups_of(controller).join(&config.cgroup_parent);
        while !children(&parent).is_empty() {
            assert!(Instant::now() < deadline, "{controller}: {:?}", children(&parent));
            std::thread::yield_now();
        }
        let _ = fs::remove_dir(parent);
    }
}

fn wait_until_nothing_is_left(config: &SandboxConfig, matters: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while left(config).iter().any(|left| matters(left)) {
        assert!(Instant::now() < deadline, "{:?}", left(config));
        std::thread::yield_now();
    }
}

fn no_mount_is_left() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("a table");
    assert!(!mounts.contains("crownest"), "{mounts}");
}

async fn start(host: &SandboxHost, slot: u32, lower: &Path) -> Sandbox {
    let label = format!("run-{slot}");
    let own = lower.with_extension(slot.to_string());
    let lower = match host.tree_owner(slot) {
        Some(owner) => {
            own_copy(lower, &own, owner);
            &own
        }
        None => lower,
    };
    let spec = SandboxSpec {
        label: &label,
        slot,
        lower,
        root: Root::Host,
        command: CLINGING.as_ref(),
        env: &[],
        limits: Limits::default(),
        network: Network::Nothing,
    };
    let mut sandbox = host.start(spec).await.expect("a sandbox");
    let mut stdout = sandbox.take_stdout().expect("not taken yet");
    let read = tokio::time::timeout(DEADLINE, stdout.read_exact(&mut [0; 6])).await;
    read.expect("the run hangs").expect("output");
    sandbox
}

async fn finishing_leaves_nothing(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, tree) = (own(engine, folder.path(), 10), folder.path().join("tree"));
    fs::create_dir(&tree).expect("a folder");
    let host = SandboxHost::open(config.clone()).await.expect("a host");
    let sandbox = start(&host, 1, &tree).await;
    assert!(left(&config).len() > 5, "{:?}", left(&config));
    assert!(sandbox.finish().await.cleanup.is_ok());
    // Another helper may be on its way into its group.
    wait_until_nothing_is_left(&config, |_| true);
    no_mount_is_left();
    close(host, &config);
}

async fn dropping_leaves_nothing(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, tree) = (own(engine, folder.path(), 20), folder.path().join("tree"));
    fs::create_dir(&tree).expect("a folder");
    let host = SandboxHost::open(config.clone()).await.expect("a host");
    for slot in 1..3 {
        drop(start(&host, slot, &tree).await);
    }
    // At any point of its start, too.
    for (slot, milliseconds) in (10..).zip([0, 1, 3, 10, 30, 60, 100]) {
        let start = start(&host, slot, &tree);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(milliseconds), start).await;
    }
    wait_until_nothing_is_left(&config, |_| true);
    no_mount_is_left();
    close(host, &config);
}

const HOLD: &str = "CROWNEST_CONFORMANCE_HOLD";

/// Not a test by itself: the process that `an_executor_killed_hard…` kills. Without its variable there is nothing to do.
async fn holder(engine: Engine) {
    let Some(folder) = std::env::var_os(HOLD).map(PathBuf::from) else { return };
    let host = SandboxHost::open(own(engine, &folder, 30)).await.expect("a host");
    let mut running = Vec::new();
    for slot in 1..3 {
        running.push(start(&host, slot, &folder.join("tree")).await);
    }
    // bubblewrap's pid 1 ties itself to its parent a little after it has started the command: until then this process, if
    // killed, would leave it to the sweep. Another whole run is time enough.
    assert!(start(&host, 3, &folder.join("tree")).await.finish().await.cleanup.is_ok());
    std::io::Write::write_all(&mut std::io::stdout(), b"holding\n").expect("a pipe");
    std::future::pending::<()>().await;
}

async fn an_executor_killed_hard_takes_its_runs_along(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("tree")).expect("a folder");
    let config = own(engine, folder.path(), 30);
    let test = format!("cleanup::{}::holder", format!("{engine:?}").to_lowercase());
    let mut holder = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env(HOLD, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let lines = BufReader::new(holder.stdout.take().expect("a pipe")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("holding")));
    let is_process = |left: &str| left.starts_with("process");
    assert!(left(&config).iter().any(|left| is_process(left)));
    let second = SandboxHost::open(config.clone()).await.expect_err("it is taken");
    assert!(second.to_string().contains("locked by another executor"), "{second}");

    holder.kill().expect("a signal");
    holder.wait().expect("an end");
    wait_until_nothing_is_left(&config, is_process);
    no_mount_is_left();
    assert!(!left(&config).is_empty(), "folders wait for the sweep");
    let host = SandboxHost::open(config.clone()).await.expect("the next host");
    wait_until_nothing_is_left(&config, |_| true);
    close(host, &config);
}

/// Nothing of an engine is anywhere but in the run: no state folder, no socket.
async fn engines_keep_nothing(engine: Engine) {
    let places = ["/run/runc", "/run/runsc", "/var/run/runsc", "/run/user/0/runc", "/tmp/runsc"].map(Path::new);
    let before = places.map(Path::exists);
    let machine = engine.open().await;
    assert_eq!(machine.run("true").await.code(), Some(0));
    assert_eq!(places.map(Path::exists), before);
    let names: BTreeSet<_> =
        fs::read_dir(machine.work_dir()).expect("a folder").flatten().map(|name| name.file_name()).collect();
    assert_eq!(names, ["lock", "runs", "stage"].map(Into::into).into());
    assert_eq!(fs::read_dir(machine.work_dir().join("stage/oci")).expect("a folder").count(), 0);
}

/// A run has its `/tmp` for itself, whatever the one before did to it in the same slot, and however many do so at a time.
/// The host removes it without following anything that it finds.
async fn a_private_tmp_is_gone_with_its_run(engine: Engine) {
    for disk in [DiskLimit::None, DiskLimit::Bytes(64 << 20)] {
        let machine = Machine::open_with(|config| (config.engine, config.disk) = (engine.config(), disk)).await;
        let kept = machine.folder.path().join("kept");
        fs::create_dir(&kept).expect("a folder");
        fs::write(kept.join("file"), "kept").expect("a file");
        let hostile = format!(
            "ls -A /tmp; ln -s {0} /tmp/link; ln -s {0}/file /tmp/file; ln -s / /tmp/root; mkfifo /tmp/fifo; mkdir -p /tmp/d/e
             for i in $(seq 200); do mkdir deep && cd deep || exit 9; done; chmod 000 /tmp/d /tmp",
            kept.display()
        );
        for _ in 0..2 {
            let run = collect(machine.start_in(7, &hostile).await).await;
            assert_eq!((run.out().as_str(), run.code()), ("", Some(0)), "{}", run.err());
            assert!(children(&machine.work_dir().join("runs")).is_empty());
        }
        assert_eq!(fs::read_to_string(kept.join("file")).expect("a file"), "kept");
        assert_eq!(fs::metadata(&kept).expect("a folder").mode() & 0o777, 0o755);
        let mut other = machine.start_in(8, "echo x > /tmp/of-the-other; echo ready; sleep 1000").await;
        let mut stdout = other.take_stdout().expect("not taken yet");
        tokio::time::timeout(DEADLINE, stdout.read_exact(&mut [0; 6])).await.expect("the run hangs").expect("output");
        assert_eq!(machine.run("ls -A /tmp").await.out(), "");
        assert!(other.finish().await.cleanup.is_ok());
    }
}

/// Folders in each other on a disk that is full, or nearly so; more files than are removed one by one. The slot has room again.
async fn a_full_disk_is_emptied(engine: Engine) {
    const DEEP: &str = "
import os
for d in range(depth): os.mkdir('d'); os.chdir('d')
for i in range(files):
    try: open(f'/tmp/{i}', 'w').close()
    except OSError: break
with open('/workspace/big', 'wb', buffering=0) as big:
    try:
        while big.tell() < most: big.write(bytes(1 << 16))
    except OSError as error: print(error.errno)
";
    // Few enough to be removed one by one, and more.
    for (bytes, depth, files) in [(64 << 20, 700, 200), (200 << 20, 3_000, 9_000)] {
        let (most, files, depth) = match engine {
            // The limit is measured, and nothing is ever full.
            Engine::Rootless => (20 << 20, files / 10, depth),
            // A guest's file server holds a descriptor for each.
            Engine::Runsc => (1_u64 << 30, files, 300),
            _ => (1 << 30, files, depth),
        };
        let disk = DiskLimit::Bytes(bytes);
        let machine = Machine::open_with(|config| (config.engine, config.disk) = (engine.config(), disk)).await;
        let script = format!("most, files, depth = {most}, {files}, {depth}{DEEP}");
        let env = [("SCRIPT".into(), script.into())];
        let deep = SandboxSpec { env: &env, ..machine.spec("deep", 7, "exec python3 -c \"$SCRIPT\"", &[]) };
        for _ in 0..2 {
            let run = collect(machine.host.start(deep).await.expect("a sandbox")).await;
            assert_eq!(run.code(), Some(0), "{}", run.err());
            assert!(run.out() == "28" || engine == Engine::Rootless, "{}", run.out());
        }
        assert!(machine.host.is_fit(7));
        let run = collect(machine.start_in(7, "ls /tmp; ls; head -c 10000000 /dev/zero > /tmp/x").await).await;
        assert_eq!((run.out().as_str(), run.code()), ("hello.txt\nsrc", Some(0)), "{}", run.err());
    }
}

/// Keeps its slot as long as something cannot be removed, and no longer.
async fn a_slot_comes_back(engine: Engine) {
    let machine = engine.open().await;
    let sandbox = machine.start_in(7, "sleep 1000").await;
    let stuck = machine.work_dir().join("runs/run-7/lower");
    rustix::mount::mount("none", &stuck, "tmpfs", rustix::mount::MountFlags::empty(), None).expect("a mount");
    let cleanup = sandbox.finish().await.cleanup.expect_err("it is stuck");
    assert!(cleanup.to_string().contains("run directory"), "{cleanup}");
    assert!(!machine.host.is_fit(7) && machine.host.is_fit(8));
    let refused = machine.host.start(machine.spec("again", 7, "true", &[])).await.expect_err("the slot is taken");
    assert!(refused.to_string().contains("slot 7 is in use"), "{refused}");
    for _ in 0..2 {
        let error = machine.host.settle(7).await.expect_err("it is stuck");
        assert!(error.to_string().contains("run directory"), "{error}");
    }
    rustix::mount::unmount(&stuck, rustix::mount::UnmountFlags::empty()).expect("no mount");
    machine.host.settle(7).await.expect("nothing is in its way");
    assert!(machine.host.is_fit(7) && children(&machine.work_dir().join("runs")).is_empty());
    assert_eq!(collect(machine.start_in(7, "exit 5").await).await.code(), Some(5));
}

/// A slot in which no sandbox starts is not fit until one does.
async fn a_failed_start_is_proved_to_be_over(engine: Engine) {
    let machine = engine.open().await;
    let stage = machine.work_dir().join("stage");
    let (place, away) = (stage.join("workspace"), stage.join("away"));
    fs::rename(&place, &away).expect("a folder");
    machine.host.start(machine.spec("broken", 7, "true", &[])).await.expect_err("a mount point is missing");
    assert!(!machine.host.is_fit(7));
    machine.host.settle(7).await.expect_err("it is still missing");
    fs::rename(&away, &place).expect("a folder");
    machine.host.settle(7).await.expect("it is there again");
    assert!(machine.host.is_fit(7));
    assert_eq!(collect(machine.start_in(7, "exit 5").await).await.code(), Some(5));
}

on_each_engine!(
    a_full_disk_is_emptied,
    a_slot_comes_back,
    a_failed_start_is_proved_to_be_over,
    finishing_leaves_nothing,
    dropping_leaves_nothing,
    holder,
    an_executor_killed_hard_takes_its_runs_along,
    engines_keep_nothing,
    a_private_tmp_is_gone_with_its_run,
);
