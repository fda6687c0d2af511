//! Files that are hard to remove after a run, and the leftovers that the start-up sweep finds. That nothing else is left is shown by the
//! conformance suite, for each engine.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox::{SandboxConfig, SandboxHost};
use support::{Machine, config};

/// Controllers of cgroup v1, and the only directory of v2.
const CONTROLLERS: [&str; 6] = ["", "memory", "pids", "cpu", "cpuacct", "blkio"];

/// Groups of each host that uses this configuration's parent, in every hierarchy.
fn groups_of_hosts(config: &SandboxConfig) -> Vec<PathBuf> {
    let parents =
        CONTROLLERS.map(|controller| Path::new("/sys/fs/cgroup").join(controller).join(&config.cgroup_parent));
    parents.iter().flat_map(|parent| children(parent)).collect()
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[tokio::test]
async fn deep_and_unreadable_leftovers_are_removed() {
    let machine = Machine::open().await;
    let script = "for i in $(seq 1500); do mkdir d && cd d || exit 9; done; touch f; chmod 000 /workspace/d; ln -s / /workspace/root";
    let run = machine.run(script).await;
    assert_eq!(run.code(), Some(0), "{}", run.err());
    assert_eq!(fs::read_dir(machine.work_dir().join("runs")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_sweep_kills_what_survived_in_a_control_group() {
    let folder = tempfile::tempdir().unwrap();
    // Control groups that nobody else uses, so that they can be looked for.
    let cgroup_parent = "crownest-test-sweep".into();
    let config = SandboxConfig { uid_base: Some(1_503_000), cgroup_parent, ..config(folder.path()) };
    let host = SandboxHost::open(config.clone()).await.unwrap();
    let hosts = groups_of_hosts(&config);
    assert!(!hosts.is_empty());
    drop(host);
    assert_eq!(groups_of_hosts(&config), [""; 0].map(PathBuf::from));

    // A process of ours takes a run's place, as one would that escaped the death of its executor.
    let mut survivor = Command::new("sleep").arg("1000").spawn().unwrap();
    for host in &hosts {
        let group = host.join("left");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("cgroup.procs"), survivor.id().to_string()).unwrap();
    }
    fs::create_dir_all(config.work_dir.join("runs/a/upper/x")).unwrap();
    let host = SandboxHost::open(config.clone()).await.unwrap();
    assert_eq!(survivor.wait().unwrap().signal(), Some(9));
    assert!(hosts.iter().all(|host| !host.join("left").exists()));
    assert_eq!(fs::read_dir(config.work_dir.join("runs")).unwrap().count(), 0);
    drop(host);
    for controller in CONTROLLERS {
        let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(controller).join(&config.cgroup_parent));
    }
}
