//! Concurrency limits and usage: exact, and recorded once.

use serde_json::json;
use testkit::{Options, Stack, archive, eventually};

#[tokio::test]
async fn an_organization_never_runs_more_than_its_plan_allows() {
    let flags = ["--requests-per-minute", "100000"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { plan: "free", slots: 6, ingest_flags: flags, ..Default::default() }).await;
    lift_rate_limit(&stack).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    // Projects are the client's to make: they give no slots.
    let mut projects = vec![stack.project.to_string()];
    for name in ["second", "third"] {
        let made = client.post("/v1/projects", &json!({"name": name})).await.expect(201);
        projects.push(made["project"]["id"].as_str().unwrap().to_owned());
    }
    let mut runs = Vec::new();
    for n in 0..8 {
        let body = json!({"command": "sleep 0.3", "projectId": projects[n % 3]});
        runs.push(client.submit(body, &archive).await);
        let quota = &client.get("/v1/usage").await.expect(200)["quotas"]["concurrent_sandboxes"];
        assert!(quota["current"].as_f64() <= quota["limit"].as_f64(), "{quota}");
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
async fn what_a_client_may_make_has_a_number() {
    let stack = Stack::with(Options { plan: "free", executor: false, ..Default::default() }).await;
    lift_rate_limit(&stack).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let database = stack.admin.get().await.unwrap();
    let org = stack.org.as_str();

    // Two runs have the slots, three wait.
    database.execute("update metering.plans set waiting_runs = 3 where name = 'free'", &[]).await.unwrap();
    let made = client.post("/v1/projects", &json!({"name": "second"})).await.expect(201);
    let mut runs = Vec::new();
    for project in [json!(stack.project.as_str()), made["project"]["id"].clone()].iter().cycle().take(6) {
        let run = client.create(json!({"command": "true", "projectId": project})).await;
        client.upload(&run, &archive).await.expect(200);
        runs.push(run);
    }
    for run in &runs[..5] {
        client.start(run).await;
    }
    let refused = client.post(&format!("/v1/workspace-runs/{}/start", runs[5]), &json!({})).await;
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.body["error"]["details"], json!({"quota": "waiting_runs"}));
    assert_eq!(refused.error(429), "quota_exceeded");
    assert_eq!(client.run(&runs[5]).await["status"], "archive_uploaded", "to be started later");

    let fill = async |sql: &str| database.execute(sql, &[&org]).await;
    fill("insert into ingest.uploads (id, org_id, run_id, sha256, size_bytes, status, expires_at)
        select 'upl_' || n, $1, (select id from ingest.runs limit 1), repeat('ab', 32), 1, 'pending', now() + interval '1 h'
        from generate_series(1, 1000) as n").await.unwrap();
    let declared = json!({"sha256": "cd".repeat(32), "sizeBytes": 5});
    let run = client.create(json!({"command": "true"})).await;
    let refused = client.post(&format!("/v1/workspace-runs/{run}/archive-transfer"), &declared).await;
    assert_eq!(refused.body["error"]["details"], json!({"quota": "open_transfers"}));
    assert_eq!(refused.error(429), "quota_exceeded");
    database.execute("update ingest.uploads set expires_at = now()", &[]).await.unwrap();
    client.post(&format!("/v1/workspace-runs/{run}/archive-transfer"), &declared).await.expect(201);

    // Asking many times at once does not help.
    fill(
        "insert into ingest.projects (id, org_id, name) select 'prj_' || n, $1, 'x' from generate_series(1, 995) as n",
    )
    .await
    .unwrap();
    fill(
        "insert into ingest.webhooks (id, org_id, url, secret)
        select 'whk_' || n, $1, 'https://example.com', '' from generate_series(1, 97) as n",
    )
    .await
    .unwrap();
    for (path, body, left) in
        [("/v1/projects", json!({"name": "more"}), 3), ("/v1/webhooks", json!({"url": "https://example.com"}), 3)]
    {
        let answers = futures_util::future::join_all((0..10).map(|_| client.post(path, &body))).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, left, "{path}");
        assert!(answers.iter().all(|answer| [201, 400].contains(&answer.status.as_u16())));
    }
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
