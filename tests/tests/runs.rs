//! Endings of runs: success, failure, timeout, cancellation at every stage, and archives that cannot be used.

use serde_json::json;
use testkit::{Archive, Stack, archive, eventually};

#[tokio::test]
async fn a_successful_run_leaves_its_evidence() {
    let stack = Stack::start().await;
    let client = stack.client();
    let archive = archive(&[("hello.sh", "echo hello; echo oops >&2; cat data/x"), ("data/x", "from the archive\n")]);
    let body = json!({"command": "sh hello.sh", "metadata": {"suite": "smoke"}, "sourceMetadata": {"commit": "abc"}});
    let run = client.submit(body, &archive).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["exitCode"], 0);
    assert_eq!(ended["orchestrationSucceeded"], true);
    assert_eq!(ended["evidenceAvailable"], true);
    assert_eq!(ended["cleanupStatus"], "succeeded");
    assert!(ended.get("failureReason").is_none(), "absent, not null: {ended}");

    let evidence = client.evidence(&run).await;
    assert_eq!(evidence["schemaVersion"], "1.1");
    assert_eq!(evidence["workspaceRunId"], json!(run));
    assert_eq!((&evidence["outcome"], &evidence["outcomeSource"]), (&json!("success"), &json!("executor")));
    assert_eq!(evidence["archive"]["sha256"], json!(archive.sha256));
    assert_eq!(evidence["metadata"], json!({"suite": "smoke"}));
    assert_eq!(evidence["sourceMetadata"], json!({"commit": "abc"}));
    assert_eq!(evidence["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(evidence["attempts"][0]["ended"], "exited");
    assert_eq!(evidence["completeness"]["complete"], true);
    assert_eq!(evidence["completeness"]["stdoutBytes"], 23);
    assert_eq!(evidence["completeness"]["stderrBytes"], 5);
    for phase in
        ["queuedAt", "claimedAt", "fetchedAt", "extractedAt", "startedAt", "finishedAt", "collectedAt", "sealedAt"]
    {
        assert!(evidence["timing"][phase].is_string(), "{phase}: {}", evidence["timing"]);
    }
    assert!(evidence["resources"]["memoryPeakBytes"].as_u64().unwrap() > 0);
    assert!(evidence["resources"]["cpuUserMs"].is_u64() && evidence["resources"]["cpuSystemMs"].is_u64());

    let events = client.events(&run, 500).await;
    assert_eq!(events.last().unwrap()["type"], "terminal");
    assert_eq!(events.last().unwrap()["workspaceRun"], ended, "the terminal event shows the run as it is");
    let statuses: Vec<_> = events.iter().filter_map(|event| event["status"].as_str()).collect();
    assert_eq!(statuses, ["starting", "extracting", "running", "collecting"]);
    assert_eq!(evidence["eventLog"]["count"], json!(events.len()));
}

#[tokio::test]
async fn a_failing_command_fails_the_run_with_its_exit_code() {
    let stack = Stack::start().await;
    let client = stack.client();
    let run = client.submit(json!({"command": "echo no >&2; exit 3"}), &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("failed"), &json!(3)));
    assert_eq!((&ended["failureReason"], &ended["failureClass"]), (&json!("command_exit"), &json!("user_command")));
    assert_eq!(client.evidence(&run).await["outcome"], "failure");
}

#[tokio::test]
async fn a_command_out_of_time_is_asked_to_end_then_killed() {
    let stack = Stack::start().await;
    let client = stack.client();
    let polite = client
        .submit(
            json!({"command": "trap 'echo bye; exit 9' TERM; echo on; while :; do sleep 0.05; done", "timeoutMs": 3000}),
            &archive(&[("x", "")]),
        )
        .await;
    let stubborn = client
        .submit(
            json!({"command": "trap '' TERM; echo on; while :; do sleep 0.05; done", "timeoutMs": 3000}),
            &archive(&[("x", "")]),
        )
        .await;
    let ended = client.wait_terminal(&polite).await;
    assert_eq!((&ended["status"], &ended["failureReason"]), (&json!("failed"), &json!("timeout")), "{ended}");
    assert_eq!(ended["exitCode"], 9, "it was asked, and ended by itself");
    assert_eq!(client.evidence(&polite).await["outcome"], "timeout");
    let said: String = client
        .events(&polite, 500)
        .await
        .iter()
        .filter(|e| e["type"] == "stdout")
        .filter_map(|e| e["data"].as_str())
        .collect();
    assert_eq!(said, "on\nbye\n");

    let ended = client.wait_terminal(&stubborn).await;
    assert_eq!((&ended["status"], &ended["failureReason"]), (&json!("failed"), &json!("timeout")), "{ended}");
    assert_eq!(ended["cleanupStatus"], "succeeded");
}

#[tokio::test]
async fn a_run_can_be_canceled_before_its_archive_came() {
    let stack = Stack::start().await;
    let client = stack.client();
    let run = client.create(json!({"command": "true"})).await;
    client.cancel(&run).await.expect(200);
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["failureClass"]), (&json!("canceled"), &json!("canceled")));
    assert!(ended.get("exitCode").is_none());
    let evidence = client.evidence(&run).await;
    assert_eq!((&evidence["outcome"], &evidence["outcomeSource"]), (&json!("cancellation"), &json!("user")));
    assert_eq!(evidence["attempts"], json!([]));
    // Cancelling a run that is over leaves it as it is.
    assert_eq!(client.cancel(&run).await.expect(200)["workspaceRun"]["status"], "canceled");
}

#[tokio::test]
async fn a_run_can_be_canceled_in_the_queue() {
    let options = testkit::Options { executor: false, ..Default::default() };
    let stack = Stack::with(options).await;
    let client = stack.client();
    let run = client.submit(json!({"command": "echo never"}), &archive(&[("x", "")])).await;
    client.cancel(&run).await.expect(200);
    let ended = client.wait_terminal(&run).await;
    assert_eq!(ended["status"], "canceled");
    // The job is still in the queue: an executor that takes it now must not run it.
    let mut executor = stack.spawn_executor();
    let other = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    assert_eq!(client.wait_terminal(&other).await["status"], "succeeded");
    let events = client.events(&run, 500).await;
    assert_eq!(events.len(), 1, "nothing but the terminal event: {events:?}");
    assert!(executor.terminate().await.success());
}

#[tokio::test]
async fn a_running_run_can_be_canceled() {
    let stack = Stack::start().await;
    let client = stack.client();
    let run = client.submit(json!({"command": "echo started; sleep 1000"}), &archive(&[("x", "")])).await;
    eventually("the command has started", async || {
        client.events(&run, 500).await.iter().any(|event| event["type"] == "stdout").then_some(())
    })
    .await;
    client.cancel(&run).await.expect(200);
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["failureClass"]), (&json!("canceled"), &json!("canceled")), "{ended}");
    let evidence = client.evidence(&run).await;
    assert_eq!(evidence["attempts"][0]["ended"], "canceled");
    assert_eq!(evidence["outcomeSource"], "user");
}

#[tokio::test]
async fn archives_that_cannot_be_used_fail_the_run() {
    let stack = Stack::start().await;
    let client = stack.client();
    let mut escaping = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.as_old_mut().name[..9].copy_from_slice(b"../escape");
    header.set_cksum();
    escaping.append(&header, &b"x"[..]).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let whole = archive(&[("a", &"content ".repeat(10_000))]).bytes;
    for (what, bytes) in [
        ("no gzip", b"this is no archive".to_vec()),
        ("cut short", whole[..whole.len() / 2].to_vec()),
        ("no tar", gzip(&[7; 4096])),
        ("escaping", gzip(&escaping.into_inner().unwrap())),
    ] {
        let run = client.submit(json!({"command": "true"}), &Archive::of(bytes)).await;
        let ended = client.wait_terminal(&run).await;
        assert_eq!(ended["failureReason"], "archive_invalid", "{what}: {ended}");
        assert_eq!(ended["failureClass"], "user_input", "{what}");
        assert!(ended.get("exitCode").is_none(), "{what}: nothing ran");
        let evidence = client.evidence(&run).await;
        assert!(evidence["outcomeMessage"].is_string(), "{what}: {evidence}");
        assert_eq!(evidence["attempts"][0]["ended"], "failed", "{what}");
    }
}

#[tokio::test]
async fn an_archive_that_changed_in_the_store_is_not_run() {
    let options = testkit::Options { executor: false, ..Default::default() };
    let stack = Stack::with(options).await;
    let client = stack.client();
    let good = archive(&[("x", "")]);
    let run = client.submit(json!({"command": "true"}), &good).await;
    let key = format!("archives/{}/{}.tgz", stack.org, good.sha256);
    let mut object = stack.store.begin(&key, "application/gzip");
    object.write(&archive(&[("x", "swapped")]).bytes).await.unwrap();
    object.finish().await.unwrap();
    let _executor = stack.spawn_executor();
    let ended = client.wait_terminal(&run).await;
    assert_eq!(ended["failureReason"], "archive_invalid", "{ended}");
}

#[tokio::test]
async fn waiting_for_the_end_is_one_request() {
    let stack = Stack::start().await;
    let client = stack.client();
    let run = client.submit(json!({"command": "sleep 0.5; exit 3"}), &archive(&[("x", "")])).await;
    let path = format!("/v1/workspace-runs/{run}");
    let now = client.get(&path).await.expect(200);
    assert!(now["workspaceRun"].get("exitCode").is_none(), "{now}");
    let ended = client.get(&format!("{path}?wait=50")).await.expect(200);
    assert_eq!((&ended["workspaceRun"]["status"], &ended["workspaceRun"]["exitCode"]), (&json!("failed"), &json!(3)));

    let open = client.create(json!({"command": "true"})).await;
    let still = client.get(&format!("/v1/workspace-runs/{open}?wait=1")).await.expect(200);
    assert_eq!(still["workspaceRun"]["status"], "awaiting_archive", "the time is over before the run is");
    assert_eq!(client.get(&format!("{path}?wait=51")).await.error(400), "invalid_request");
}

#[tokio::test]
async fn runs_are_found_by_batch_and_time() {
    let stack = Stack::start().await;
    let client = stack.client();
    let batch = json!("bat_nightly7");
    let mut made = Vec::new();
    for body in [json!({"command": "1"}), json!({"command": "2", "batchId": batch}), json!({"command": "3"})] {
        let run = client.post("/v1/workspace-runs", &body).await.expect(201)["workspaceRun"].clone();
        assert_eq!(run.get("batchId"), body.get("batchId"));
        made.push(run);
    }
    let list = async |query: &str| {
        let page = client.get(&format!("/v1/workspace-runs?{query}")).await.expect(200);
        let commands = page["data"].as_array().unwrap().iter().map(|run| run["command"].as_str().unwrap().to_owned());
        commands.collect::<Vec<_>>()
    };
    assert_eq!(list("").await, ["3", "2", "1"]);
    assert_eq!(list("batchId=bat_nightly7").await, ["2"]);
    assert_eq!(list("batchId=bat_other").await, [""; 0]);
    let second = made[1]["createdAt"].as_str().unwrap();
    // Times have milliseconds: runs of the same one belong together.
    assert!(
        list(&format!("createdAfter={second}")).await.ends_with(&["2".to_owned()]) || made[0]["createdAt"] == second
    );
    assert!(!list(&format!("createdBefore={second}")).await.contains(&"2".to_owned()));
    assert_eq!(list("createdAfter=2100-01-01T00:00:00Z").await, [""; 0]);
    for bad in ["createdAfter=yesterday", "batchId=nightly", "status=", "limit=5&limit=6", "stream=maybe&limit=0"] {
        let path = format!("/v1/workspace-runs?{bad}");
        assert_eq!(client.get(&path).await.error(400), "invalid_request", "{bad}");
    }
}
