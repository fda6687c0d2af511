//! An artifact that a client or retention deletes leaves a tombstone; a held one is not deleted.

use schemas::artifact::tombstone::Tombstone;
use serde_json::{Value, json};
use testkit::{Client, Crownest, Options, Stack, archive, eventually};

fn often() -> Options {
    let flags = ["--retention-sweep-ms", "50"];
    Options { collector_flags: flags.map(str::to_owned).to_vec(), ..Options::default() }
}

async fn admin(stack: &Stack, args: &[&str]) -> Value {
    Crownest::admin(stack).run([&["admin", "--json"], args].concat()).await.expect(0).data()
}

/// Executes a run that leaves this many artifacts; returns its id and the artifacts in its evidence.
async fn run_with(client: &Client, artifacts: usize) -> (String, Vec<Value>) {
    let command = format!("mkdir out; for i in $(seq {artifacts}); do echo $i > out/$i.txt; done");
    let body = json!({"command": command, "artifacts": [{"path": "out/*.txt"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
    let evidence = client.evidence(&run).await;
    let found = evidence["artifacts"].as_array().expect("artifacts").clone();
    assert_eq!(found.len(), artifacts);
    (run, found)
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().expect("a text")
}

async fn has_bytes(stack: &Stack, artifact: &Value) -> bool {
    stack.store.size(text(artifact, "objectKey")).await.expect("the store answers").is_some()
}

/// Waits until the bytes are gone; returns the tombstone.
async fn tombstone(stack: &Stack, artifact: &Value) -> Tombstone {
    eventually("the bytes are gone", async || (!has_bytes(stack, artifact).await).then_some(())).await;
    let key = Tombstone::object_key(text(artifact, "objectKey")).expect("a key with a folder");
    let bytes = stack.store.get(&key).await.expect("it was there before the bytes went");
    let tombstone: Tombstone = serde_json::from_slice(&bytes).expect("a tombstone");
    assert_eq!(schemas::canonical::to_vec(&tombstone).expect("canonical"), bytes, "it is canonical");
    let told = [tombstone.artifact_id.as_str(), &tombstone.sha256, &tombstone.path, &tombstone.name];
    assert_eq!(told, ["id", "sha256", "path", "name"].map(|name| text(artifact, name)), "as the bundle says");
    assert_eq!(json!(tombstone.size_bytes), artifact["sizeBytes"]);
    tombstone
}

async fn api(client: &Client, artifact: &Value) -> Value {
    client.get(&format!("/v1/artifacts/{}", text(artifact, "id"))).await.expect(200)["artifact"].clone()
}

async fn audited(stack: &Stack, client: &Client, run: &str) {
    eventually("the run is in the log", async || {
        let answer = client.get(&format!("/v1/workspace-runs/{run}/evidence/inclusion")).await;
        (answer.status == 200).then_some(())
    })
    .await;
    Crownest::trusting(stack).await.run(["evidence", "audit", "--full"]).await.expect(0);
}

#[tokio::test]
async fn what_a_client_deletes_leaves_a_tombstone() {
    let stack = Stack::with(often()).await;
    let client = stack.client();
    // A name like that of a tombstone is only a name.
    let body = json!({"command": "echo 1 > tombstone.json", "artifacts": [{"path": "tombstone.json"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let evidence = client.bytes(&format!("/v1/workspace-runs/{run}/evidence")).await;
    let artifact = client.evidence(&run).await["artifacts"][0].clone();
    let path = format!("/v1/artifacts/{}", text(&artifact, "id"));
    let gone = client.delete(&path).await.expect(200)["artifact"].clone();
    assert_eq!(gone["deletionReason"], "client");
    let left = tombstone(&stack, &artifact).await;
    assert_eq!((left.deleted_at.to_string(), left.reason.as_str()), (text(&gone, "deletedAt").to_owned(), "client"));
    let keys = client.get("/v1/api-keys").await.expect(200);
    assert_eq!(left.deleted_by.expect("whose key it was").as_str(), text(&keys["data"][0], "id"));

    // The API returns the stored tombstone to those who may see the artifact; an export has the same bytes.
    let key = Tombstone::object_key(text(&artifact, "objectKey")).expect("a key with a folder");
    let stored = stack.store.get(&key).await.expect("it is there");
    assert_eq!(client.bytes(&format!("{path}/tombstone")).await, stored);
    assert_eq!(stack.stranger().await.get(&format!("{path}/tombstone")).await.error(404), "not_found");
    let export = stack.folder.path().join("export");
    let folder = export.to_str().expect("a path");
    Crownest::trusting(&stack).await.run(["evidence", "export", &run, folder]).await.expect(0);
    let exported = export.join(format!("artifacts/{}.tombstone.json", text(&artifact, "id")));
    assert_eq!(std::fs::read(&exported).expect("the tombstone was exported"), stored);
    let verified = Crownest::trusting(&stack).await.run(["evidence", "verify", folder]).await.expect(0).text();
    assert!(verified.contains("its tombstone says that it was deleted at"), "{verified}");
    let changes = [
        ("sizeBytes", json!(3)),
        ("path", json!("b")),
        ("workspaceRunId", json!("wsr_1")),
        ("schemaVersion", json!("2.0")),
    ];
    for (member, value) in changes {
        let mut changed: Value = serde_json::from_slice(&stored).expect("JSON");
        changed[member] = value;
        std::fs::write(&exported, changed.to_string()).expect("it can be changed");
        let refused = Crownest::trusting(&stack).await.run(["evidence", "verify", folder]).await.expect(3).text();
        assert!(refused.contains("tombstone") && refused.contains("FAILED"), "{member}: {refused}");
    }

    // The artifact is remembered, with its digest; deleting it again changes nothing.
    assert_eq!(api(&client, &artifact).await, gone);
    assert_eq!(text(&gone, "sha256"), text(&artifact, "sha256"));
    assert_eq!(client.delete(&path).await.expect(200)["artifact"], gone);
    assert_eq!(client.get(&format!("{path}/download")).await.error(404), "not_found");
    assert_eq!(client.post(&format!("{path}/download-url"), &json!({})).await.error(404), "not_found");
    assert_eq!(client.bytes(&format!("/v1/workspace-runs/{run}/evidence")).await, evidence, "sealed as it was");
    audited(&stack, &client, &run).await;
}

#[tokio::test]
async fn artifacts_are_kept_as_their_plan_says_or_else_their_project() {
    let stack = Stack::with(often()).await;
    let client = stack.client();
    let kept = |artifact: &Value| {
        let at = |name: &str| text(artifact, name).parse::<schemas::Timestamp>().expect("a time");
        at("retentionExpiresAt").millis_since(at("createdAt")) / 1000
    };
    let (_, by_plan) = run_with(&client, 1).await;
    assert_eq!(kept(&api(&client, &by_plan[0]).await) / 86_400, 365);
    admin(&stack, &["retention", "set-plan", "local", "--artifacts", "40d"]).await;
    let (_, by_changed_plan) = run_with(&client, 1).await;
    assert_eq!(kept(&api(&client, &by_changed_plan[0]).await) / 86_400, 40);
    let project = stack.project.as_str();
    admin(&stack, &["retention", "set", project, "--artifacts", "1s"]).await;
    let listed = admin(&stack, &["retention", "list"]).await;
    assert_eq!(
        (&listed["projects"][0]["projectId"], &listed["projects"][0]["artifactSeconds"]),
        (&json!(project), &json!(1))
    );

    let (run, expired) = run_with(&client, 3).await;
    for artifact in &expired {
        let left = tombstone(&stack, artifact).await;
        assert_eq!((left.reason.as_str(), left.deleted_by), ("retention", None));
        let shown = api(&client, artifact).await;
        assert_eq!(
            (text(&shown, "deletionReason"), text(&shown, "deletedAt")),
            ("retention", &*left.deleted_at.to_string())
        );
        assert!(left.deleted_at.to_string().as_str() >= text(&shown, "retentionExpiresAt"), "not before its time");
    }
    for artifact in [&by_plan[0], &by_changed_plan[0]] {
        assert!(has_bytes(&stack, artifact).await, "what was announced stays");
    }
    audited(&stack, &client, &run).await;
    let verified = Crownest::trusting(&stack).await.run(["evidence", "verify", &run]).await.expect(0).text();
    assert!(verified.contains("its tombstone says that it was deleted at"), "{verified}");
    let metrics = client.get(&format!("{}/metrics", stack.collector_ops_url)).await.expect(200);
    let metrics = metrics.as_str().expect("text");
    assert!(metrics.contains(r#"crownest_collector_deleted_artifacts_total{reason="retention"} 3"#), "{metrics}");
    assert!(metrics.contains(r#"crownest_collector_deleted_artifact_bytes_total{reason="retention"} 6"#), "{metrics}");

    admin(&stack, &["retention", "clear", project]).await;
    let (_, again) = run_with(&client, 1).await;
    assert_eq!(kept(&api(&client, &again[0]).await) / 86_400, 40);
    for args in
        [["retention", "set", "prj_none", "--artifacts", "1d"], ["retention", "set-plan", "local", "--artifacts", "1h"]]
    {
        Crownest::admin(&stack).run([&["admin"], &args[..]].concat()).await.expect(1);
    }
}

#[tokio::test]
async fn several_collectors_delete_together_and_one_is_killed() {
    const ARTIFACTS: usize = 120;
    let flags = ["--retention-sweep-ms", "10"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { collector: false, collector_flags: flags, ..Options::default() }).await;
    let client = stack.client();
    let mut first = stack.spawn_collector();
    let (run, artifacts) = run_with(&client, ARTIFACTS).await;
    let evidence = client.evidence(&run).await;
    let expire = "update collector.artifacts set retention_expires_at = now() - interval '1 second'";
    stack.admin.get().await.unwrap().batch_execute(expire).await.unwrap();
    let key = |artifact: &Value| Tombstone::object_key(text(artifact, "objectKey")).expect("a key with a folder");
    eventually("the first bytes go", async || {
        for artifact in &artifacts {
            if stack.store.size(&key(artifact)).await.expect("the store answers").is_some() {
                return Some(());
            }
        }
        None
    })
    .await;
    first.kill().await;
    // As if the collector had died after deleting one artifact's bytes, and after writing another's tombstone.
    let database = stack.admin.get().await.unwrap();
    stack.store.purge(text(&artifacts[0], "objectKey")).await.unwrap();
    let open = "select count(*) from collector.artifacts where deleted_at is null or purge_at is not null";
    assert!(database.query_one(open, &[]).await.unwrap().get::<_, i64>(0) > 0, "it was killed in the middle");
    let _others = [stack.spawn_collector(), stack.spawn_collector()];
    eventually("nothing is left to do", async || {
        let left: i64 = database.query_one(open, &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
    for artifact in &artifacts {
        let left = tombstone(&stack, artifact).await;
        assert_eq!(text(&api(&client, artifact).await, "deletedAt"), left.deleted_at.to_string());
    }
    assert_eq!(client.evidence(&run).await, evidence);
    audited(&stack, &client, &run).await;
}

#[tokio::test]
async fn a_legal_hold_stops_clients_and_retention() {
    let stack = Stack::with(often()).await;
    let client = stack.client();
    let (held, artifacts) = run_with(&client, 2).await;
    let hold = admin(&stack, &["legal-hold", "set", &held, "--reason", "case 4711", "--by", "J. Doe"]).await;
    assert_eq!((&hold["subject"], &hold["setBy"]), (&json!(held), &json!("J. Doe")));
    let path = format!("/v1/artifacts/{}", text(&artifacts[0], "id"));
    assert_eq!(client.delete(&path).await.error(409), "legal_hold");
    assert!(api(&client, &artifacts[0]).await.get("deletedAt").is_none());

    // The run's retention is over, for longer than that of another run.
    let database = stack.admin.get().await.unwrap();
    let expire = "update collector.artifacts set retention_expires_at = now() - interval '1 hour' where run_id = $1";
    database.execute(expire, &[&held]).await.unwrap();
    let (other, free) = run_with(&client, 1).await;
    database.execute(expire, &[&other]).await.unwrap();
    tombstone(&stack, &free[0]).await;
    eventually("the collector counts what is held", async || {
        let metrics = client.get(&format!("{}/metrics", stack.collector_ops_url)).await.expect(200);
        metrics.as_str().expect("text").contains("crownest_collector_held_artifacts 2\n").then_some(())
    })
    .await;
    for artifact in &artifacts {
        assert!(has_bytes(&stack, artifact).await && api(&client, artifact).await.get("deletedAt").is_none());
    }

    let project = stack.project.as_str();
    admin(&stack, &["legal-hold", "set", project, "--reason", "audit"]).await;
    admin(&stack, &["legal-hold", "clear", &held, "--reason", "case closed", "--by", "J. Doe"]).await;
    assert_eq!(client.delete(&path).await.error(409), "legal_hold", "its project is held");
    let listed = admin(&stack, &["legal-hold", "list"]).await;
    assert_eq!((listed.as_array().expect("holds").len(), &listed[0]["subject"]), (1, &json!(project)));
    admin(&stack, &["legal-hold", "clear", project, "--reason", "over"]).await;
    for artifact in &artifacts {
        tombstone(&stack, artifact).await;
    }

    let noted = "select count(*) from collector.store_holds";
    assert_eq!(
        database.query_one(noted, &[]).await.unwrap().get::<_, i64>(0),
        0,
        "nothing to do in a store that locks nothing"
    );
    let history = admin(&stack, &["legal-hold", "history"]).await;
    let told: Vec<_> =
        history.as_array().expect("changes").iter().map(|of| (text(of, "action"), text(of, "reason"))).collect();
    assert_eq!(told, [("cleared", "over"), ("cleared", "case closed"), ("set", "audit"), ("set", "case 4711")]);
    for sql in [
        "delete from collector.legal_hold_log",
        "update collector.legal_hold_log set actor = 'x'",
        "truncate collector.legal_hold_log",
    ] {
        assert!(database.batch_execute(sql).await.is_err(), "{sql}");
    }
    for (args, code) in [
        (["set", "wsr_none", "--reason", "x"], "not_found"),
        (["clear", &held, "--reason", "x"], "not_found"),
        (["set", &held, "--reason", " "], "invalid_request"),
    ] {
        let refused = Crownest::admin(&stack).run([&["admin", "--json", "legal-hold"], &args[..]].concat()).await;
        assert_eq!(refused.error().0, code, "{args:?}");
    }
}

#[tokio::test]
async fn a_hold_keeps_the_bytes_of_what_is_deleted_already() {
    let flags = ["--retention-sweep-ms", "50"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { collector: false, collector_flags: flags, ..Options::default() }).await;
    let client = stack.client();
    let mut collector = stack.spawn_collector();
    let (run, artifacts) = run_with(&client, 1).await;
    let (_, others) = run_with(&client, 1).await;
    collector.terminate().await;
    for artifact in [&artifacts[0], &others[0]] {
        client.delete(&format!("/v1/artifacts/{}", text(artifact, "id"))).await.expect(200);
    }
    admin(&stack, &["legal-hold", "set", &run, "--reason", "too late for the client"]).await;
    let _collector = stack.spawn_collector();
    tombstone(&stack, &others[0]).await;
    assert!(has_bytes(&stack, &artifacts[0]).await, "deleted first, and kept");
    // There is no tombstone yet: an export has the API's answer, and does not wait for a tombstone.
    let path = format!("/v1/artifacts/{}/tombstone", text(&artifacts[0], "id"));
    assert_eq!(client.get(&path).await.error(404), "not_found");
    let earlier = "update collector.artifacts set deleted_at = deleted_at - interval '1 hour' where id = $1";
    stack.admin.get().await.unwrap().execute(earlier, &[&text(&artifacts[0], "id")]).await.unwrap();
    let export = stack.folder.path().join("export");
    let folder = export.to_str().expect("a path");
    Crownest::trusting(&stack).await.run(["evidence", "export", &run, folder]).await.expect(0);
    let verified = Crownest::trusting(&stack).await.run(["evidence", "verify", folder]).await.expect(0).text();
    assert!(verified.contains("said to be deleted at"), "{verified}");
    admin(&stack, &["legal-hold", "clear", &run, "--reason", "over"]).await;
    tombstone(&stack, &artifacts[0]).await;
}
