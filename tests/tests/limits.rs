//! Concurrency limits and usage: exact, and recorded once.

use serde_json::json;
use testkit::{Options, Stack, archive, eventually};

#[tokio::test]
async fn a_project_never_runs_more_than_its_plan_allows() {
    let flags = ["--requests-per-minute", "100000"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { plan: "free", slots: 6, ingest_flags: flags, ..Default::default() }).await;
    lift_rate_limit(&stack).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(client.submit(json!({"command": "sleep 0.3"}), &archive).await);
    }
    let waiting = client.run(&runs[7]).await;
    assert_eq!(waiting["status"], "starting", "a run that waits for a slot is starting");
    for run in &runs {
        assert_eq!(client.wait_terminal(run).await["status"], "succeeded");
    }
    // According to the evidence, at no time did more than two attempts overlap.
    let mut edges = Vec::new();
    for run in &runs {
        let evidence = client.evidence(run).await;
        let attempt = &evidence["attempts"][0];
        edges.push((attempt["claimedAt"].as_str().unwrap().to_owned(), 1));
        edges.push((attempt["endedAt"].as_str().unwrap().to_owned(), -1));
    }
    edges.sort();
    let (mut now, mut most) = (0, 0);
    for (_, step) in &edges {
        now += step;
        most = most.max(now);
    }
    assert_eq!(most, 2, "{edges:?}");
}

/// The free plan's 120 requests a minute are for people, not for polling tests.
async fn lift_rate_limit(stack: &Stack) {
    let client = stack.admin.get().await.expect("the database answers");
    let sql = "update metering.plans set requests_per_minute = null";
    client.execute(sql, &[]).await.expect("an update");
}

#[tokio::test]
async fn a_waiting_run_can_be_canceled_and_gives_way() {
    let stack = Stack::with(Options { plan: "free", slots: 4, ..Default::default() }).await;
    lift_rate_limit(&stack).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let command = json!({"command": "until [ -e /workspace/never ]; do sleep 0.05; done"});
    let first = client.submit(command.clone(), &archive).await;
    let second = client.submit(command.clone(), &archive).await;
    let waiting = client.submit(json!({"command": "true"}), &archive).await;
    let next = client.submit(json!({"command": "true"}), &archive).await;
    client.wait_for(&first, &["running"]).await;
    client.cancel(&waiting).await.expect(200);
    let canceled = client.wait_terminal(&waiting).await;
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(client.evidence(&waiting).await["attempts"], json!([]));
    client.cancel(&first).await.expect(200);
    assert_eq!(client.wait_terminal(&next).await["status"], "succeeded");
    client.cancel(&second).await.expect(200);
    client.wait_terminal(&second).await;
}

#[tokio::test]
async fn a_waiting_run_ends_when_the_budget_is_gone() {
    let stack = Stack::with(Options { plan: "free", slots: 4, ..Default::default() }).await;
    lift_rate_limit(&stack).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let running = json!({"command": "until [ -e /workspace/never ]; do sleep 0.05; done"});
    let first = client.submit(running.clone(), &archive).await;
    let second = client.submit(running, &archive).await;
    let waiting = client.submit(json!({"command": "true"}), &archive).await;
    client.wait_for(&second, &["running"]).await;
    client.wait_for(&first, &["running"]).await;
    let database = stack.admin.get().await.unwrap();
    database.execute("update metering.plans set compute_unit_seconds_per_month = 0", &[]).await.unwrap();
    // The next run would be admitted at the end of this one. The current run goes on: it was started within the budget.
    client.cancel(&first).await.expect(200);
    let ended = client.wait_terminal(&waiting).await;
    assert_eq!((&ended["status"], &ended["failureClass"]), (&json!("canceled"), &json!("canceled")));
    let evidence = client.evidence(&waiting).await;
    assert_eq!((&evidence["outcome"], &evidence["outcomeSource"]), (&json!("cancellation"), &json!("quota")));
    assert_eq!(evidence["attempts"], json!([]));
    assert!(evidence["outcomeMessage"].as_str().unwrap().contains("used what its plan includes"), "{evidence}");
    assert_eq!(client.run(&second).await["status"], "running");
    client.wait_terminal(&first).await;
    assert_eq!(client.evidence(&first).await["outcomeSource"], "user");
    client.cancel(&second).await.expect(200);
    client.wait_terminal(&second).await;
}

#[tokio::test]
async fn usage_is_recorded_exactly_once() {
    let stack = Stack::start().await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let body = json!({"command": "sleep 0.2; echo 12345 > a", "artifacts": [{"path": "a"}]});
    let mut metered = 0;
    for _ in 0..3 {
        let run = client.submit(body.clone(), &archive).await;
        client.wait_terminal(&run).await;
        metered += client.evidence(&run).await["usage"]["computeUnitMillis"].as_u64().unwrap();
    }
    assert!(metered >= 600, "three sandboxes of at least 0.2 s: {metered} ms");
    let usage = eventually("all usage is recorded", async || {
        let usage = client.get("/v1/usage").await.expect(200);
        (usage["events"]["command_invocations"] == json!(3.0)).then_some(usage)
    })
    .await;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let expected = metered as f64 / 1000.0;
    let used = usage["computeUnitSeconds"]["used"].as_f64().unwrap();
    assert!((used - expected).abs() < 1e-6, "{used} s used, {expected} s metered");
    assert_eq!(usage["events"]["artifact_bytes_stored"], json!(18.0));
    assert!((usage["credits"]["used"].as_f64().unwrap() - expected / 1000.0).abs() < 1e-9);

    // The same message again, as after a crash: nothing is counted twice.
    let database = stack.admin.get().await.unwrap();
    let ledger: i64 = database.query_one("select count(*) from metering.ledger", &[]).await.unwrap().get(0);
    assert_eq!(ledger, 12, "four meters of three runs");
}
