//! `crownest up` without root: the same promises, by a user who has subordinate ids and delegated control groups.
#[path = "../../executor/sandbox/tests/support/ordinary.rs"]
mod ordinary;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use ordinary::Ordinary;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::{Client, archive, eventually};

/// Slots of this test, among the user's subordinate ids: those of other tests are elsewhere.
const UID_BASE: u32 = 95_000;
const SLOTS: u32 = 2;
const DISK_BYTES: u64 = 64 << 20;

struct Machine {
    ordinary: Ordinary,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Runs even if the test fails.
        let _ = self.crownest(&["down"]).output();
    }
}

impl Machine {
    fn new() -> Self {
        let programs = ["crownest", "crownest-executor", "crownest-sandbox"].map(testkit::program);
        Self { ordinary: Ordinary::new(&programs) }
    }

    fn data(&self) -> PathBuf {
        self.ordinary.home().join("data")
    }

    fn crownest(&self, arguments: &[&str]) -> Command {
        let mut command = self.ordinary.command("crownest");
        command.args(arguments).env("CROWNEST_DATA", self.data());
        command.env("CROWNEST_UID_BASE", UID_BASE.to_string()).env("CROWNEST_SLOTS", SLOTS.to_string());
        command.env("PATH", "/opt/crownest/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command.env("CROWNEST_DISK_BYTES", DISK_BYTES.to_string());
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "CROWNEST_API_URL", "CROWNEST_API_KEY"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.crownest(arguments).output().expect("crownest can be started")
    }

    fn up(&self) -> Value {
        let output = self.run(&["up", "--detach", "--json", "--listen", "127.0.0.1:0"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("a line of JSON")["data"].clone()
    }

    fn client(&self, up: &Value) -> Client {
        let key = std::fs::read_to_string(self.data().join("api-key")).expect("there is a key");
        Client::new(up["apiUrl"].as_str().expect("an address"), key.trim())
    }

    fn users_of(&self, command: &str) -> BTreeSet<u32> {
        let processes = self.ordinary.processes();
        processes.into_iter().filter(|(_, name)| name == command).map(|(uid, _)| uid).collect()
    }
}

#[tokio::test]
async fn up_as_an_ordinary_user() {
    let machine = Machine::new();
    let user = machine.ordinary.uid();
    let up = machine.up();
    let client = machine.client(&up);
    // `up` has logged in.
    let path = machine.ordinary.home().join("repo.tgz");
    std::fs::write(&path, archive(&[("a", "hello")]).bytes).expect("a file");
    let ran = machine.run(&["runs", "run-archive", path.to_str().expect("text"), "--", "cat a; echo x > b; exit 7"]);
    assert_eq!((ran.status.code(), &*ran.stdout), (Some(7), &b"hello"[..]), "{}", String::from_utf8_lossy(&ran.stderr));

    let again = archive(&[("x", "")]);
    let sleeping = json!({"command": "echo on; exec sleep 1234"});
    let (one, two) = (client.submit(sleeping.clone(), &again).await, client.submit(sleeping, &again).await);
    let granted = granted();
    let commands = eventually("both run", async || {
        let users = machine.users_of("sleep");
        (users.len() == 2).then_some(users)
    })
    .await;
    let slots: BTreeSet<u32> = (0..SLOTS).map(|slot| granted + UID_BASE - 1 + slot).collect();
    assert_eq!(commands, slots, "each slot has an id of its own, which is nobody's");
    let all: BTreeSet<u32> = machine.ordinary.processes().into_iter().map(|(uid, _)| uid).collect();
    assert_eq!(all, slots.into_iter().chain([user]).collect(), "nothing is root's");
    for service in ["postgres", "beam.smp", "weed", "crownest", "crownest-execut"] {
        assert_eq!(machine.users_of(service), [user].into(), "{service}");
    }
    client.cancel(&two).await.expect(200);
    assert_eq!(client.wait_terminal(&two).await["status"], "canceled");

    // The executor and the sandboxes end with the system, whatever ends it.
    let pid = i32::try_from(up["pid"].as_u64().expect("a pid")).expect("a pid");
    kill(pid);
    eventually("only the private services are left", async || {
        let others = |name: &str| name.contains("crownest") || name.contains("sandbox") || name == "sleep";
        (!machine.ordinary.processes().iter().any(|(_, name)| others(name))).then_some(())
    })
    .await;
    let up = machine.up();
    let client = machine.client(&up);
    client.wait_for(&one, &["running"]).await;
    client.cancel(&one).await.expect(200);
    client.wait_terminal(&one).await;
    let last = client.submit(json!({"command": "ls"}), &again).await;
    assert_eq!(client.wait_terminal(&last).await["status"], "succeeded");
    let evidence = client.evidence(&last).await;
    let limits = &evidence["resources"]["limits"];
    assert!(limits["memoryBytes"].as_u64() > Some(0), "{evidence}");
    assert_eq!(limits["diskBytes"], DISK_BYTES, "{evidence}");
    let large = client.submit(json!({"command": "head -c 100000000 /dev/zero > x; sleep 1000"}), &again).await;
    assert_eq!(client.wait_terminal(&large).await["status"], "failed");
    let evidence = client.evidence(&large).await;
    let message = evidence["outcomeMessage"].as_str().unwrap_or_default();
    assert!(message.contains("more on disk"), "{evidence}");
    assert!(evidence["resources"]["diskUsedBytes"].as_u64() >= Some(DISK_BYTES), "{evidence}");

    let down = machine.run(&["down"]);
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert_eq!(machine.ordinary.processes(), []);

    // The system does not go on without its executor either.
    machine.up();
    let executor = machine.ordinary.pids("crownest-execut");
    assert_eq!(executor.len(), 1);
    kill(executor[0]);
    eventually("it notices", async || machine.ordinary.processes().is_empty().then_some(())).await;
    let log = std::fs::read_to_string(machine.data().join("crownest.log")).expect("there is a log");
    assert!(log.contains("the executor ended unexpectedly"), "{log}");
    let runs = machine.data().join("executor/sandboxes/runs");
    assert_eq!(std::fs::read_dir(runs).expect("a folder").count(), 0);
    machine.ordinary.remove_groups();
}

/// Without the groups the start fails, and nothing is left running.
#[tokio::test]
async fn what_is_missing_is_said_before_anything_is_started() {
    let machine = Machine::new();
    machine.ordinary.undelegate();
    let output = machine.run(&["up", "--detach"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("control groups") && (said.contains("chown") || said.contains("Delegate=yes")), "{said}");
    assert!(!machine.data().exists());
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("it can be killed");
}

/// The first of the user's subordinate ids.
fn granted() -> u32 {
    let file = std::fs::read_to_string("/etc/subuid").expect("a file");
    let line = file.lines().find_map(|line| line.strip_prefix("crownest-test:")).expect("infra/setup.sh --test");
    line.split(':').next().and_then(|first| first.parse().ok()).expect("a number")
}
