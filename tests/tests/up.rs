//! The real `crownest up`: a whole system on one machine, through its life and its deaths.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Client, Crownest, archive, eventually};

/// Far from those of other tests, so that what a sandbox leaves behind is known by its owner.
const UID_BASE: u32 = 800_000;
const SLOTS: u32 = 1;

/// A machine for one test. Processes that still run on its data are ended with the test, even if it fails.
struct Machine {
    folder: TempDir,
    crownest: Crownest,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let mut down = Command::new(testkit::program("crownest"));
        down.arg("down").arg("--data").arg(self.data());
        let _ = down.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        for pid in self.processes() {
            kill(pid);
        }
    }
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("crownest-up-").tempdir().expect("a folder can be made");
        // The services run as users of their own, who must reach their folders.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).expect("it can be shared");
        let crownest = Crownest::new()
            .with("CROWNEST_UID_BASE", &UID_BASE.to_string())
            .with("CROWNEST_SLOTS", &SLOTS.to_string())
            .with("CROWNEST_GRACE_MS", "1000");
        Self { folder, crownest }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn args<'a>(&'a self, command: &'a str, rest: &[&'a str]) -> Vec<String> {
        let mut args = vec![command.to_owned(), "--json".to_owned(), "--data".to_owned()];
        args.push(self.data().display().to_string());
        args.extend(rest.iter().map(|&arg| arg.to_owned()));
        args
    }

    async fn up(&self, rest: &[&str]) -> Value {
        let args = self.args("up", &[&["--detach"], rest].concat());
        self.crownest.run(args).await.expect(0).data()
    }

    async fn down(&self) -> Value {
        self.crownest.run(self.args("down", &[])).await.expect(0).data()
    }

    /// Waits until every ended run is in the log, and proven to be.
    async fn audit(&self) -> Value {
        self.crownest.run(["evidence", "trust"]).await.expect(0);
        eventually("the audit passes", async || {
            let audit = self.crownest.run(["evidence", "audit", "--json"]).await;
            assert_ne!(audit.code, 3, "{}", audit.text());
            (audit.code == 0).then(|| audit.data())
        })
        .await
    }

    async fn status(&self, code: i32) -> Value {
        self.crownest.run(self.args("status", &[])).await.expect(code).data()
    }

    /// Kills the system without warning and waits until its locks are free: a process holds them until its last thread
    /// has ended, and /proc calls it dead before that. Files that it did not remove prove nothing.
    async fn kill(&self, up: &Value) {
        kill(pid_of(up));
        eventually("the end is noticed", async || {
            let seen = self.crownest.run(self.args("status", &[])).await;
            (seen.code == 1 && seen.data()["status"] == "stopped").then_some(())
        })
        .await;
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.data().join("api-key")).expect("there is a key").trim().to_owned()
    }

    fn client(&self, up: &Value) -> Client {
        Client::new(up["apiUrl"].as_str().expect("an address"), &self.key())
    }

    /// Processes that use this machine's data, or run as one of its sandboxes.
    fn processes(&self) -> BTreeSet<i32> {
        let entries = std::fs::read_dir("/proc").expect("processes can be listed").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| *pid != std::process::id().cast_signed() && belongs(*pid, self.folder.path())).collect()
    }
}

fn belongs(pid: i32, folder: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let name = folder.as_os_str().as_encoded_bytes();
    let mentions = |file: &str| {
        std::fs::read(process.join(file)).is_ok_and(|text| text.windows(name.len()).any(|window| window == name))
    };
    let is_below = |link: &str| std::fs::read_link(process.join(link)).is_ok_and(|path| path.starts_with(folder));
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let is_dead = status.lines().any(|line| line.starts_with("State:\tZ"));
    let owner = std::fs::metadata(&process).map_or(0, |metadata| metadata.uid());
    let is_sandbox = (UID_BASE..UID_BASE + SLOTS).contains(&owner);
    !is_dead && (mentions("cmdline") || mentions("environ") || is_below("cwd") || is_below("root") || is_sandbox)
}

fn kill(pid: i32) {
    // It may have ended just now.
    let _ = kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL);
}

fn pid_of(up: &Value) -> i32 {
    i32::try_from(up["pid"].as_u64().expect("a pid")).expect("a pid")
}

/// Reads a page of a listener for operations.
async fn text(url: &str, path: &str) -> String {
    let body = Client::new(url, "nobody").get(path).await.expect(200);
    body.as_str().expect("text").to_owned()
}

#[tokio::test]
async fn one_command_starts_everything_and_one_ends_it() {
    let machine = Machine::new();
    assert_eq!(machine.status(1).await["status"], "stopped");
    let up = machine.up(&["--listen", "127.0.0.1:0"]).await;
    let status = machine.status(0).await;
    assert_eq!((&status["status"], &status["pid"]), (&json!("ready"), &up["pid"]));
    let ready: Vec<_> =
        status["services"].as_array().unwrap().iter().map(|s| (s["service"].clone(), s["ready"].clone())).collect();
    assert_eq!(json!(ready), json!([["ingest", true], ["executor", true], ["collector", true], ["metering", true]]));

    // `up` has logged in, so a newcomer types no more than this.
    let path = machine.folder.path().join("repo.tgz");
    std::fs::write(&path, archive(&[("a", "hello")]).bytes).unwrap();
    let run = ["workspace-runs", "run-archive", path.to_str().unwrap(), "--", "cat a; exit 7"];
    assert_eq!(machine.crownest.run(run).await.expect(7).text(), "hello");

    let run =
        ["runs", "run-archive", path.to_str().unwrap(), "--env", "TOKEN=hunter22", "--", "echo $TOKEN ${TOKEN%22}"];
    assert_eq!(machine.crownest.run(run).await.expect(0).text(), "*** hunter\n");
    let log = std::fs::read_to_string(machine.data().join("crownest.log")).expect("there is a log");
    assert!(log.contains("attempt ended") && !log.contains("hunter22"), "{log}");
    let keys = std::fs::metadata(machine.data().join("env-keys")).expect("a key was made");
    assert_eq!(keys.permissions().mode() & 0o777, 0o600);

    // Within a minute, with the settings that everybody has.
    let data = machine.data().display().to_string();
    eventually("both runs are in the tables", async || {
        let sql = "select exit_code, count(*) as runs from runs group by all order by all";
        let answer = machine.crownest.run(["--json", "query", "--data", &data, sql]).await.expect(0).data();
        (answer == json!([{"exit_code": 0, "runs": 1}, {"exit_code": 7, "runs": 1}])).then_some(())
    })
    .await;

    the_operations_listeners_answer(&up).await;
    every_listener_is_on_loopback(&machine, &up);

    let again = machine.crownest.run(["up", "--detach", "--data", machine.data().to_str().unwrap()]).await.expect(0);
    assert!(again.text().contains("already"), "{}", again.text());
    assert_eq!(machine.up(&[]).await, up);
    let foreground = machine.crownest.run(machine.args("up", &[])).await.expect(0);
    assert_eq!(foreground.data(), up, "nor does it start twice in the foreground");

    assert_eq!(machine.down().await["stopped"], true);
    assert_eq!(machine.processes(), BTreeSet::new(), "nothing is left");
    assert_eq!(machine.status(1).await["status"], "stopped");
    let again = machine.crownest.run(["down", "--data", machine.data().to_str().unwrap()]).await.expect(0);
    assert_eq!(again.text(), "CrowNest is not running.\n");
}

/// Metrics that docs/operations/monitoring.md tells operators to watch.
const DOCUMENTED: [(&str, &[&str]); 4] = [
    (
        "ingest",
        &[
            r#"crownest_ingest_open_runs{state="queued"}"#,
            r#"crownest_queue_messages{queue="crownest.jobs.default"}"#,
            "crownest_ingest_outbox_depth",
            "crownest_ingest_http_requests_total",
        ],
    ),
    ("executor", &["crownest_executor_busy_slots 0", "crownest_executor_slots 1", "crownest_executor_attempts_total"]),
    (
        "collector",
        &[
            "crownest_collector_unsealed_runs",
            "crownest_collector_tables_lag_seconds 0",
            "crownest_collector_tables_errors_total 0",
            r#"crownest_collector_tables_rows_total{table="runs"} 2"#,
            "crownest_collector_seal_seconds_count",
            "crownest_collector_run_seconds_count",
        ],
    ),
    ("metering", &["crownest_metering_usage_events_total"]),
];

async fn the_operations_listeners_answer(up: &Value) {
    for (operations, (service, names)) in up["operations"].as_array().expect("operations").iter().zip(DOCUMENTED) {
        assert_eq!(operations["service"], service);
        let url = operations["url"].as_str().expect("an address");
        assert_eq!(text(url, "/healthz").await, "ok\n");
        assert_eq!(text(url, "/readyz").await, "ready\n");
        for name in names {
            eventually(&format!("{service} shows {name}"), async || {
                text(url, "/metrics").await.contains(name).then_some(())
            })
            .await;
        }
    }
    let public = up["apiUrl"].as_str().expect("an address");
    assert_eq!(text(public, "/readyz").await, "ready\n");
}

fn every_listener_is_on_loopback(machine: &Machine, up: &Value) {
    let listening = |pid: i32| local::listening_addresses(pid.cast_unsigned()).unwrap_or_default();
    let addresses: BTreeSet<_> = machine.processes().into_iter().flat_map(listening).collect();
    assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
    // The API and four listeners for operations in the one process, and those of three private services.
    assert_eq!(listening(pid_of(up)).len(), 5);
    assert!(addresses.len() >= 5 + 3, "{addresses:?}");
}

#[tokio::test]
async fn a_killed_system_goes_on_where_it_was() {
    let machine = Machine::new();
    let up = machine.up(&["--listen", "127.0.0.1:0"]).await;
    let (client, key) = (machine.client(&up), machine.key());
    let archive = archive(&[("x", "")]);
    let first = client.submit(json!({"command": "echo first"}), &archive).await;
    client.wait_terminal(&first).await;
    let evidence = client.evidence(&first).await;
    machine.audit().await;
    let interrupted = client.submit(json!({"command": "echo on; sleep 2; echo done"}), &archive).await;
    let queued = client.submit(json!({"command": "echo queued"}), &archive).await;
    eventually("it runs", async || {
        client.events(&interrupted, 500).await.iter().any(|event| event["type"] == "stdout").then_some(())
    })
    .await;
    machine.kill(&up).await;

    let again = machine.up(&[]).await;
    assert_ne!(again["pid"], up["pid"]);
    assert_eq!(machine.key(), key);
    let client = machine.client(&again);
    let ended = client.wait_terminal(&interrupted).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let attempts = client.evidence(&interrupted).await["attempts"].clone();
    assert_eq!(attempts.as_array().unwrap().len(), 2, "{attempts}");
    assert_eq!((&attempts[0]["ended"], &attempts[1]["ended"]), (&json!("lost"), &json!("exited")));
    assert_eq!(client.wait_terminal(&queued).await["status"], "succeeded");
    assert_eq!(client.evidence(&first).await, evidence, "durable means durable");
    // The log from before the kill is the beginning of this log.
    assert!(machine.audit().await["grownFrom"].as_u64() >= Some(1));
    let status = ["workspace-runs", "status", &first, "--json"];
    assert_eq!(machine.crownest.run(status).await.expect(0).data()["status"], "succeeded", "still logged in");
    assert_eq!(machine.down().await["stopped"], true);
    assert_eq!(machine.processes(), BTreeSet::new());
}

#[tokio::test]
async fn down_ends_what_a_killed_system_left() {
    let machine = Machine::new();
    let up = machine.up(&["--listen", "127.0.0.1:0"]).await;
    let client = machine.client(&up);
    let run = client.submit(json!({"command": "echo on; sleep 1000"}), &archive(&[("x", "")])).await;
    eventually("it runs", async || {
        client.events(&run, 500).await.iter().any(|event| event["type"] == "stdout").then_some(())
    })
    .await;
    let before = machine.processes();
    machine.kill(&up).await;
    assert!(!machine.processes().is_empty(), "its services outlive it: {before:?}");
    let down = machine.crownest.run(["down", "--data", machine.data().to_str().unwrap()]).await.expect(0);
    assert!(down.text().contains("what a killed one had left is ended"), "{}", down.text());
    assert_eq!(machine.processes(), BTreeSet::new());
    assert_eq!(machine.status(1).await["status"], "stopped");
}

#[tokio::test]
async fn two_starts_at_once_are_one() {
    let machine = Machine::new();
    let (one, other) = tokio::join!(machine.up(&["--listen", "127.0.0.1:0"]), machine.up(&["--listen", "127.0.0.1:0"]));
    assert_eq!(one, other);
    assert_eq!(machine.status(0).await["status"], "ready");
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_leaves_nothing() {
    let machine = Machine::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = machine.crownest.run(machine.args("up", &["--detach", "--listen", &address])).await.expect(1);
    let error: Value = serde_json::from_str(&failed.stderr).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("--listen: {address} cannot be bound")), "{message}");
    let data = machine.data();
    let plain = machine.crownest.run(["up", "--detach", "--listen", &address, "--data", data.to_str().unwrap()]);
    let plain = plain.await.expect(1).stderr;
    assert!(
        plain.lines().any(|line| line.starts_with("    {") || line.starts_with("    error:")),
        "log lines: {plain}"
    );
    assert_eq!(machine.processes(), BTreeSet::new());
    assert_eq!(machine.status(1).await["status"], "stopped");
    let nonsense = machine.crownest.run(machine.args("up", &["--listen", "everywhere"])).await.expect(2);
    assert!(nonsense.stderr.contains("--listen <ADDR>"), "{}", nonsense.stderr);
}
