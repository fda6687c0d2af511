//! A legal hold is in the store, too, where the store locks objects: nobody deletes a held object, whatever its
//! retention, until the hold is over.

use infra::s3::{LegalHold, Purged};
use serde_json::{Value, json};
use testkit::{Client, Crownest, Options, Process, SIGNING_KEY, Stack, archive, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

fn locking(collector: bool) -> Options {
    let lock = ["--object-lock-mode", "governance", "--object-lock-days", "1"].map(str::to_owned).to_vec();
    let flags = ["--retention-sweep-ms", "50"].map(str::to_owned).to_vec();
    Options { collector, object_lock: lock, collector_flags: flags, ..Options::default() }
}

async fn admin(stack: &Stack, args: &[&str]) -> Value {
    Crownest::admin(stack).run([&["admin", "--json", "legal-hold"], args].concat()).await.expect(0).data()
}

/// Executes a run with artifacts; returns its id and the keys of all its objects, artifacts first.
async fn run_with(stack: &Stack, client: &Client, artifacts: usize) -> (String, Vec<String>) {
    let command = format!("mkdir out; for i in $(seq {artifacts}); do echo $i > out/$i.txt; done");
    let body = json!({"command": command, "artifacts": [{"path": "out/*.txt"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
    let evidence = client.evidence(&run).await;
    let part = evidence["eventLog"]["parts"][0]["objectKey"].as_str().expect("a key");
    let folder = part.rsplit_once('/').expect("a folder").0;
    let listed = stack.store.list(&format!("{folder}/")).await.expect("the store lists them");
    let mut keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    keys.sort_by_key(|key| !key.contains("/artifacts/"));
    let names = ["evidence.json", "attestation.dsse.json", "provenance.dsse.json", "events-00000.ndjson.zst"];
    for name in names {
        assert!(keys.contains(&format!("{folder}/{name}")), "{keys:?}");
    }
    assert_eq!(keys.len(), artifacts + names.len(), "{keys:?}");
    (run, keys)
}

/// True if all versions of an object have a hold.
async fn is_held(stack: &Stack, key: &str) -> bool {
    let holds = stack.store.legal_holds(key).await.expect("the store answers");
    !holds.is_empty() && holds.iter().all(|hold| *hold == LegalHold::On)
}

/// Checks that the store deletes no version, because of the hold. (Markers hide versions, and are not held.)
async fn stays(stack: &Stack, key: &str) {
    assert!(is_held(stack, key).await, "{key}");
    assert_eq!(stack.store.purge(key).await.expect("the store answers"), Purged::Locked { until: None }, "{key}");
    for version in stack.store.version_ids(key).await.expect("the store lists them") {
        drop(stack.store.delete_version(key, &version).await);
    }
    stack.store.get(key).await.unwrap_or_else(|error| panic!("{key} was deleted: {error}"));
    assert!(is_held(stack, key).await, "{key}");
}

async fn held_in_store(stack: &Stack, subject: &str) -> i64 {
    let holds = admin(stack, &["list"]).await;
    let hold = holds.as_array().expect("holds").iter().find(|hold| hold["subject"] == subject).expect("the hold");
    hold["runsInStore"].as_i64().expect("a number")
}

async fn in_store(stack: &Stack, subject: &str, runs: i64) {
    let what = format!("{runs} runs of {subject} are held in the store");
    eventually(&what, async || (held_in_store(stack, subject).await == runs).then_some(())).await;
}

/// Waits until no object in the store should have a hold any more.
async fn released(stack: &Stack) {
    let database = stack.admin.get().await.expect("the database answers");
    eventually("nothing is left of the hold", async || {
        let left = database.query_one("select count(*) from collector.store_holds", &[]).await.expect("it answers");
        let left: i64 = left.get(0);
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_store_keeps_what_is_held_until_no_hold_is_left() {
    let stack = Stack::with(locking(true)).await;
    let client = stack.client();
    let (run, keys) = run_with(&stack, &client, 2).await;
    stack.store.delete(&keys[0]).await.expect("it is hidden, and its version is held all the same");
    admin(&stack, &["set", &run, "--reason", "case 4711"]).await;
    in_store(&stack, &run, 1).await;
    for key in &keys {
        // Somebody with the keys can hide the object, and no more.
        stack.store.delete(key).await.expect("it is hidden");
        stays(&stack, key).await;
    }

    // Two holds: the store releases objects when the second one is over. Runs sealed meanwhile are held from their seal
    // on.
    let project = stack.project.as_str();
    admin(&stack, &["set", project, "--reason", "audit"]).await;
    let (_, later) = run_with(&stack, &client, 1).await;
    in_store(&stack, project, 2).await;
    admin(&stack, &["clear", &run, "--reason", "case closed"]).await;
    in_store(&stack, project, 2).await;
    for key in keys.iter().chain(&later) {
        stays(&stack, key).await;
    }
    admin(&stack, &["clear", project, "--reason", "over"]).await;
    released(&stack).await;
    eventually("the collector counts both runs that were let go", async || {
        let metrics = client.get(&format!("{}/metrics", stack.collector_ops_url)).await.expect(200);
        let metrics = metrics.as_str().expect("text");
        let counted =
            ["store_holds_total{hold=\"off\"} 2\n", "store_holds_pending 0\n", "store_holds_overdue_seconds 0\n"];
        counted.iter().all(|line| metrics.contains(&format!("crownest_collector_{line}"))).then_some(())
    })
    .await;
    for key in keys.iter().chain(&later).filter(|key| !key.contains("/artifacts/")) {
        let purged = stack.store.purge(key).await.expect("the store answers");
        assert!(matches!(purged, Purged::Locked { until: Some(_) }), "{key} has its retention still: {purged:?}");
    }
    for key in keys.iter().chain(&later).filter(|key| key.contains("/artifacts/")) {
        for version in stack.store.version_ids(key).await.expect("the store lists them") {
            stack.store.delete_version(key, &version).await.expect("nothing holds it");
        }
        assert!(stack.store.version_ids(key).await.unwrap().is_empty());
    }
}

/// A way to the store that is cut at the nth request for a hold, until it is mended.
struct Wire {
    address: String,
    /// Number of such requests that may pass, and number that did.
    allowed: watch::Sender<usize>,
    passed: watch::Receiver<usize>,
}

impl Wire {
    async fn to(endpoint: &str) -> Self {
        let store = endpoint.strip_prefix("http://").expect("an http URL").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let ((allowed, limit), (count, passed)) = (watch::channel(0), watch::channel(0));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (store, limit, count) = (store.clone(), limit.clone(), count.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(&*store).await else { return };
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let requests = async {
                        let mut bytes = vec![0; 64 * 1024];
                        while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
                            if String::from_utf8_lossy(&bytes[..length]).contains("?legal-hold") {
                                if *count.borrow() >= *limit.borrow() {
                                    return;
                                }
                                count.send_modify(|count| *count += 1);
                            }
                            if to_server.write_all(&bytes[..length]).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        () = requests => {}
                        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
                    }
                });
            }
        });
        Self { address, allowed, passed }
    }

    /// Starts a collector that reaches the store by this wire.
    fn spawn_collector(&self, stack: &Stack) -> Process {
        let flags = stack.collector_flags(SIGNING_KEY).into_iter();
        let flags: Vec<String> =
            flags.map(|flag| if flag == stack.store_endpoint() { self.address.clone() } else { flag }).collect();
        assert!(flags.contains(&self.address));
        Process::start("crownest-collector", &flags)
    }
}

#[tokio::test]
async fn a_hold_that_was_set_in_part_is_set_and_taken_off_by_whoever_comes() {
    let stack = Stack::with(locking(false)).await;
    let client = stack.client();
    let mut wire = Wire::to(stack.store_endpoint()).await;
    let mut cut = wire.spawn_collector(&stack);
    let (run, keys) = run_with(&stack, &client, 3).await;
    wire.allowed.send_replace(2);
    admin(&stack, &["set", &run, "--reason", "case 4711"]).await;
    wire.passed.wait_for(|passed| *passed == 2).await.expect("it tries");
    let held = async || {
        let mut held = 0;
        for key in &keys {
            held += usize::from(is_held(&stack, key).await);
        }
        held
    };
    eventually("two objects are held", async || (held().await == 2).then_some(())).await;
    assert_eq!(held_in_store(&stack, &run).await, 0, "not all of them");

    // The collector retries by itself. Then it is killed in the middle of clearing the hold.
    wire.allowed.send_replace(2 + keys.len());
    in_store(&stack, &run, 1).await;
    assert_eq!(held().await, keys.len());
    wire.allowed.send_replace(*wire.passed.borrow() + 3);
    let all = *wire.passed.borrow() + 3;
    admin(&stack, &["clear", &run, "--reason", "over"]).await;
    wire.passed.wait_for(|passed| *passed == all).await.expect("it tries");
    cut.kill().await;
    eventually("three objects are free", async || (held().await == keys.len() - 3).then_some(())).await;

    // A new hold finds some of the objects held; the next collector does the rest.
    admin(&stack, &["set", stack.project.as_str(), "--reason", "audit"]).await;
    let (mut other, _another) = (stack.spawn_collector(), stack.spawn_collector());
    in_store(&stack, stack.project.as_str(), 1).await;
    assert_eq!(held().await, keys.len());
    admin(&stack, &["clear", stack.project.as_str(), "--reason", "over"]).await;
    other.kill().await;
    released(&stack).await;
    assert_eq!(held().await, 0);
}
