//! A run seen from the host: users, capabilities, namespaces, descriptors and filters of its processes.
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use sandbox::{Limits, Sandbox};
use tokio::io::AsyncReadExt as _;

use crate::engine::{Engine, digest_of, on_each_engine};
use crate::support::{DEADLINE, Machine};

/// A process of the host, as `/proc` shows it.
struct Process {
    folder: PathBuf,
    status: String,
}

impl Process {
    fn field(&self, name: &str) -> Vec<&str> {
        let line = self.status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().collect()
    }

    fn namespace(&self, kind: &str) -> PathBuf {
        fs::read_link(self.folder.join("ns").join(kind)).unwrap_or_default()
    }

    fn is_command(&self) -> bool {
        fs::read(self.folder.join("cmdline")).unwrap_or_default().starts_with(b"sleep\x001234")
    }
}

/// All in control groups of this host's runs, but for helpers that wait for another run.
fn processes_in(group: &str) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    entries
        .filter(|folder| fs::read_to_string(folder.join("cgroup")).is_ok_and(|groups| groups.contains(group)))
        .filter_map(|folder| Some(Process { status: fs::read_to_string(folder.join("status")).ok()?, folder }))
        .filter(|process| process.field("Name") != ["sandbox-ready"])
        .collect()
}

/// A host that nobody else uses, and a run in it that has said `ready`.
async fn running(engine: Engine, of_test: u32) -> (Machine, Sandbox, String, u32) {
    let uid_base = engine.uid_base(of_test);
    let group = format!("crownest-conformance-{uid_base}");
    let machine = Machine::open_with(|config| {
        config.engine = engine.config();
        config.uid_base = Some(uid_base);
        config.cgroup_parent = group.clone().into();
    })
    .await;
    let mut sandbox = machine.start_in(7, "echo ready; sleep 1234 & wait").await;
    let mut said = [0; 6];
    let mut stdout = sandbox.take_stdout().expect("not taken yet");
    tokio::time::timeout(DEADLINE, stdout.read_exact(&mut said)).await.expect("the run hangs").expect("output");
    (machine, sandbox, group, uid_base + 7)
}

async fn nobody_in_a_run_is_somebody_on_the_host(engine: Engine) {
    let before = digest_of(engine);
    let (_machine, sandbox, group, uid) = running(engine, 0).await;
    let processes = processes_in(&group);
    assert!(processes.len() >= 3, "{}", processes.len());
    let host = Process { folder: "/proc/self".into(), status: String::new() };
    for process in &processes {
        let name = format!("{} {:?}", process.folder.display(), process.field("Name"));
        for field in ["Uid", "Gid"] {
            let ids: BTreeSet<u32> = process.field(field).iter().filter_map(|id| id.parse().ok()).collect();
            assert!(ids.len() == 1 && Engine::users(uid).contains(ids.first().expect("one")), "{name} {field} {ids:?}");
        }
        assert_eq!(process.field("Groups"), [""; 0], "{name}");
        assert_eq!(process.field("NoNewPrivs"), ["1"], "{name}");
        // Whatever its capabilities are, they are over a user namespace that has nothing of the host.
        let (user, net) = (process.namespace("user"), process.namespace("net"));
        let is_setup = process.field("CapEff") == ["0000000000000000"] && engine.is_bubblewrap();
        assert!(user != host.namespace("user") || is_setup, "{name} is in the host's user namespace");
        assert_ne!(process.namespace("mnt"), host.namespace("mnt"), "{name}");
        let is_command = process.field("Uid").first() == Some(&&*uid.to_string());
        assert!(net != host.namespace("net") || !is_command || is_setup, "{name} is in the host's network");
    }
    sandbox.kill().expect("signals are sent");
    assert!(sandbox.finish().await.cleanup.is_ok());
    assert_eq!(digest_of(engine), before, "CVE-2019-5736: the engine was changed");
}

/// Only where the command's processes are the host's.
async fn the_command_is_behind_every_wall(engine: Engine) {
    let (_machine, sandbox, group, uid) = running(engine, 3).await;
    let deadline = std::time::Instant::now() + DEADLINE;
    let found = loop {
        let found: Vec<Process> = processes_in(&group).into_iter().filter(Process::is_command).collect();
        if !found.is_empty() || engine == Engine::Runsc || std::time::Instant::now() > deadline {
            break found;
        }
    };
    if engine == Engine::Runsc {
        assert!(found.is_empty(), "a guest's processes are not the host's");
        the_guest_is_behind_every_wall(&group, uid);
    } else {
        let [command] = &found[..] else { panic!("{} processes", found.len()) };
        let uid = uid.to_string();
        assert_eq!(command.field("Uid"), [&*uid; 4]);
        assert_eq!(command.field("Gid"), [&*uid; 4]);
        assert!(command.field("NSpid").len() >= 2, "{:?}", command.field("NSpid"));
        assert_eq!(command.field("Seccomp"), ["2"]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(command.field(set), ["0000000000000000"], "{set}");
        }
        let host = Process { folder: "/proc/self".into(), status: String::new() };
        for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
            assert_ne!(command.namespace(kind), host.namespace(kind), "{kind}");
        }
        // Standard input, output and error; for a moment, its loader has a library open.
        let only_standard = || {
            let descriptors = fs::read_dir(command.folder.join("fd")).expect("descriptors").flatten();
            let names: BTreeSet<String> =
                descriptors.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names == ["0", "1", "2"].map(str::to_owned).into()
        };
        while !only_standard() {
            assert!(std::time::Instant::now() < deadline, "more descriptors: CVE-2016-9962, CVE-2024-21626");
            std::thread::yield_now();
        }
        assert_eq!(fs::read_to_string(command.folder.join("oom_score_adj")).expect("a number").trim(), "500");
        let limits = fs::read_to_string(command.folder.join("limits")).expect("limits");
        assert!(limits.lines().any(|line| line.starts_with("Max core file size        1 ")), "{limits}");
    }
    sandbox.kill().expect("signals are sent");
    assert!(sandbox.finish().await.cleanup.is_ok());
}

/// Its kernel is a process of the host, with a user, a filter and namespaces of its own, and sees no file of the host.
fn the_guest_is_behind_every_wall(group: &str, uid: u32) {
    let [_, _, kernel_uid] = Engine::users(uid);
    let processes = processes_in(group);
    let of_kernel: Vec<&Process> =
        processes.iter().filter(|process| process.field("Uid").first() == Some(&&*kernel_uid.to_string())).collect();
    assert!(!of_kernel.is_empty());
    let host = Process { folder: "/proc/self".into(), status: String::new() };
    for process in of_kernel {
        assert_eq!(process.field("Seccomp"), ["2"]);
        for kind in ["user", "mnt", "net", "ipc", "uts"] {
            assert_ne!(process.namespace(kind), host.namespace(kind), "{kind}");
        }
        let names =
            ["usr", "bin", "etc/passwd", "home", "mnt"].map(|name| process.folder.join("root").join(name).exists());
        assert_eq!(names, [false; 5]);
    }
}

/// Two runs at one time: each is alone.
async fn runs_do_not_meet(engine: Engine) {
    let machine = engine.open().await;
    let mut first = machine.start_in(11, "echo ready; exec sleep 1234").await;
    let mut stdout = first.take_stdout().expect("not taken yet");
    tokio::time::timeout(DEADLINE, stdout.read_exact(&mut [0; 6])).await.expect("the run hangs").expect("output");
    let probe = "
def name(p):
    try: return open(f'/proc/{p}/cmdline').read()
    except OSError: return ''
print([p for p in os.listdir('/proc') if p.isdigit() and name(p).startswith('sleep')], os.listdir('/tmp'), sorted(os.listdir('.')))
for p in range(2, 70000): tried(lambda: os.kill(p, 9) if p != os.getpid() else None)
";
    let run = crate::case::attempt(&machine, crate::case::Try::Python(probe), Limits::default()).await;
    assert_eq!(run.out(), "[] [] ['hello.txt', 'src']", "{}", run.err());
    let still = tokio::time::timeout(std::time::Duration::from_millis(200), first.wait()).await;
    assert!(still.is_err(), "the other run was ended by a stranger: {still:?}");
    first.kill().expect("signals are sent");
    assert!(first.finish().await.cleanup.is_ok());
}

on_each_engine!(nobody_in_a_run_is_somebody_on_the_host, the_command_is_behind_every_wall, runs_do_not_meet,);
