//! Artifacts go when their time is over or a client says so, leave a tombstone, and stay while they are held.

use infra::s3::Purged;
use schemas::tombstone::{DeletionReason, Tombstone};
use serde_json::{Value, json};
use testkit::{Client, Crownest, DEADLINE, Options, SIGNING_KEY, Stack, archive, eventually, program};

const SWEEP: [&str; 2] = ["--retention-sweep-ms", "50"];

async fn stack() -> Stack {
    Stack::with(Options { collector_flags: SWEEP.map(str::to_owned).to_vec(), ..Options::default() }).await
}

/// A run that leaves two artifacts; its evidence.
async fn run_with_artifacts(client: &Client) -> Value {
    let body = json!({"command": "echo one > a; echo two > b", "artifacts": [{"path": "a"}, {"path": "b"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    client.evidence(&run).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

async fn wait_until_gone(stack: &Stack, artifact: &Value) {
    eventually("the bytes are gone", async || {
        stack.store.size(text(artifact, "objectKey")).await.expect("the store answers").is_none().then_some(())
    })
    .await;
}

async fn tombstone(stack: &Stack, artifact: &Value) -> Tombstone {
    let key = Tombstone::object_key(text(artifact, "objectKey")).expect("a folder");
    let bytes = stack.store.get(&key).await.expect("there is a tombstone");
    let tombstone: Tombstone = serde_json::from_slice(&bytes).expect("a tombstone");
    assert_eq!(schemas::canonical::to_vec(&tombstone).expect("JSON"), bytes, "it is canonical");
    tombstone
}

async fn set_retention(stack: &Stack, time: &str) {
    let admin = Crownest::admin(stack);
    admin.run(["admin", "retention", "set", stack.project.as_str(), "--artifacts", time]).await.expect(0);
}

#[tokio::test]
async fn what_has_expired_goes_and_leaves_a_tombstone_whoever_sweeps() {
    let stack = stack().await;
    let client = stack.client();
    let _others = [stack.spawn_collector_with(&SWEEP), stack.spawn_collector_with(&SWEEP)];
    set_retention(&stack, "1s").await;
    let evidence = run_with_artifacts(&client).await;
    let run = text(&evidence, "workspaceRunId");
    for sealed in evidence["artifacts"].as_array().unwrap() {
        wait_until_gone(&stack, sealed).await;
        let left = tombstone(&stack, sealed).await;
        assert_eq!((left.reason, left.deleted_by), (DeletionReason::Retention, None));
        assert_eq!((left.sha256.as_str(), left.size_bytes), (text(sealed, "sha256"), 4));
        assert_eq!((left.path.as_str(), left.artifact_id.as_str()), (text(sealed, "path"), text(sealed, "id")));
        // What is known of it stays.
        let id = text(sealed, "id");
        let answer = client.get(&format!("/v1/artifacts/{id}")).await.expect(200);
        assert_eq!(answer["artifact"]["deletionReason"], "retention");
        assert_eq!(answer["artifact"]["deletedAt"], json!(left.deleted_at));
        assert_eq!(answer["artifact"]["sha256"], sealed["sha256"]);
        assert_eq!(client.get(&format!("/v1/artifacts/{id}/download")).await.error(404), "not_found");
    }
    assert_eq!(client.evidence(run).await, evidence, "the evidence is as it was sealed");
    let cli = Crownest::of(&stack);
    let verified = cli.run(["evidence", "verify", run]).await.expect(0).text();
    assert!(verified.contains("said to be deleted at"), "{verified}");
    cli.run(["evidence", "audit", "--run", run]).await.expect(0);

    // A crash in the middle: everything is done again, and nothing else comes of it.
    let sealed = &evidence["artifacts"][0];
    let before = tombstone(&stack, sealed).await;
    let database = stack.admin.get().await.unwrap();
    database.execute("update collector.artifacts set purge_at = now()", &[]).await.unwrap();
    eventually("it is done again", async || {
        let sql = "select count(*) from collector.artifacts where purge_at is not null";
        (database.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    assert_eq!(tombstone(&stack, sealed).await, before);

    let listed = Crownest::admin(&stack).run(["admin", "retention", "list", "--json"]).await.expect(0).data();
    assert_eq!(listed["projects"][0]["artifactSeconds"], 1, "{listed}");
    let days = |plan: &str| {
        let of = listed["plans"].as_array().unwrap().iter().find(|of| of["plan"] == plan).unwrap();
        of["artifactSeconds"].as_u64().unwrap() / 86_400
    };
    assert_eq!(["free", "builder", "scale", "enterprise"].map(days), [7, 30, 90, 365]);
}

#[tokio::test]
async fn a_client_deletes_once_and_is_named() {
    let stack = stack().await;
    let client = stack.client();
    let evidence = run_with_artifacts(&client).await;
    let (gone, kept) = (&evidence["artifacts"][0], &evidence["artifacts"][1]);
    let path = format!("/v1/artifacts/{}", text(gone, "id"));
    let deleted = client.delete(&path).await.expect(200);
    assert_eq!(deleted["artifact"]["deletionReason"], "client");
    wait_until_gone(&stack, gone).await;
    let left = tombstone(&stack, gone).await;
    let keys = client.get("/v1/api-keys").await.expect(200);
    assert_eq!(left.deleted_by.expect("a key did it").as_str(), text(&keys["data"][0], "id"));
    assert_eq!(client.delete(&path).await.expect(200), deleted, "the first time counts");
    assert!(stack.store.size(text(kept, "objectKey")).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_held_stays_whoever_asks() {
    let stack = stack().await;
    let client = stack.client();
    let admin = Crownest::admin(&stack);
    set_retention(&stack, "2s").await;
    let evidence = run_with_artifacts(&client).await;
    let (run, held) = (text(&evidence, "workspaceRunId"), &evidence["artifacts"][0]);
    let set = ["admin", "legal-hold", "set", run, "--reason", "case 4711", "--by", "J. Doe"];
    admin.run(set).await.expect(0);
    let path = format!("/v1/artifacts/{}", text(held, "id"));
    assert_eq!(client.delete(&path).await.error(409), "legal_hold");

    // What expires later and is not held goes first: so this one was looked at, and stayed.
    let later = run_with_artifacts(&client).await;
    wait_until_gone(&stack, &later["artifacts"][0]).await;
    wait_until_gone(&stack, &later["artifacts"][1]).await;
    assert!(stack.store.size(text(held, "objectKey")).await.unwrap().is_some());
    assert!(client.get(&path).await.expect(200)["artifact"]["deletedAt"].is_null());

    // A hold of the project is enough.
    let project = stack.project.as_str();
    admin.run(["admin", "legal-hold", "set", project, "--reason", "audit", "--by", "J. Doe"]).await.expect(0);
    admin.run(["admin", "legal-hold", "clear", run, "--reason", "settled", "--by", "R. Roe"]).await.expect(0);
    assert_eq!(client.delete(&path).await.error(409), "legal_hold");
    let listed = admin.run(["admin", "legal-hold", "list", "--json"]).await.expect(0).data();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["subject"]), (1, &json!(project)));
    admin.run(["admin", "legal-hold", "clear", project, "--reason", "done", "--by", "R. Roe"]).await.expect(0);
    wait_until_gone(&stack, held).await;

    let history = admin.run(["admin", "legal-hold", "history", "--json"]).await.expect(0).data();
    let told: Vec<_> = history.as_array().unwrap().iter().map(|of| (text(of, "action"), text(of, "actor"))).collect();
    assert_eq!(told, [("cleared", "R. Roe"), ("cleared", "R. Roe"), ("set", "J. Doe"), ("set", "J. Doe")]);
    let database = stack.admin.get().await.unwrap();
    assert!(database.execute("delete from collector.legal_hold_log", &[]).await.is_err(), "nothing of it is removed");
    for (subject, expected) in [("wsr_nothing", "does not exist"), (project, "under no legal hold")] {
        let action = if subject == project { "clear" } else { "set" };
        let refused = admin.run(["admin", "legal-hold", action, subject, "--reason", "x", "--by", "y", "--json"]).await;
        assert!(refused.error().1.contains(expected));
    }
}

#[tokio::test]
async fn what_is_locked_in_the_store_stays_whoever_has_its_keys() {
    let lock = ["--object-lock-mode", "governance", "--object-lock-days", "1"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { object_lock: lock, ..Options::default() }).await;
    let client = stack.client();
    let evidence = run_with_artifacts(&client).await;
    let run = text(&evidence, "workspaceRunId");
    let part = text(&evidence["eventLog"]["parts"][0], "objectKey").to_owned();
    let folder = part.rsplit_once('/').expect("a folder").0.to_owned();
    let of = |name: &str| format!("{folder}/{name}");
    for key in [of("evidence.json"), of("attestation.dsse.json"), of("provenance.dsse.json"), part] {
        let versions = stack.store.version_ids(&key).await.expect("the store lists them");
        assert_eq!(versions.len(), 1, "{key}");
        let refused = stack.store.delete_version(&key, &versions[0]).await;
        assert!(refused.is_err(), "{key} was deleted");
        let purged = stack.store.purge(&key).await.expect("the store answers");
        let Purged::Locked { until: Some(until) } = purged else { panic!("{key} is not locked: {purged:?}") };
        let left = until.duration_since(std::time::SystemTime::now()).expect("in the future");
        assert!((23..=24).contains(&(left.as_secs() / 3600)), "{key}: {left:?}");
        // Who deletes it without naming a version only hides it.
        stack.store.delete(&key).await.expect("it is hidden");
        assert!(stack.store.get(&key).await.is_err());
        let versions_now = stack.store.version_ids(&key).await.expect("the store lists them");
        let marker = versions_now.iter().find(|version| !versions.contains(version)).expect("a delete marker");
        stack.store.delete_version(&key, marker).await.expect("a marker is not locked");
        stack.store.get(&key).await.expect("it is there again");
    }
    // Artifacts have a retention of their own, and the log of evidence and the tables change by design.
    let artifact = text(&evidence["artifacts"][0], "objectKey");
    assert_eq!(stack.store.purge(artifact).await.expect("the store answers"), Purged::Gone);
    let verified = Crownest::of(&stack).run(["evidence", "verify", run, "--without-artifacts"]).await;
    assert_eq!(verified.code, 1, "{}", verified.text());
    assert!(!verified.text().contains("FAILED"), "{}", verified.text());
}

#[tokio::test]
async fn a_bucket_that_cannot_lock_is_named_at_the_start() {
    let stack = Stack::with(Options { executor: false, collector: false, ..Options::default() }).await;
    let mut flags = stack.collector_flags(SIGNING_KEY);
    flags.extend(["--object-lock-mode", "compliance", "--object-lock-days", "30"].map(str::to_owned));
    let refused = tokio::process::Command::new(program("crownest-collector")).args(flags).output();
    let refused = tokio::time::timeout(DEADLINE, refused).await.expect("in time").expect("it can be started");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("is not made for it"), "{said}");
}
