//! Processes that are killed, and a broker that restarts: no run is lost, no event is lost or doubled.

use futures_util::future::join_all;
use infra::amqp::Message;
use local::{Durability, RabbitMq};
use serde_json::json;
use testkit::{Crownest, Options, Stack, archive, eventually};

#[tokio::test]
async fn a_killed_executor_costs_an_attempt_not_the_run() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let client = stack.client();
    let mut first = stack.spawn_executor();
    let command = "echo attempt; sleep 4; echo done";
    let run = client.submit(json!({"command": command}), &archive(&[("x", "")])).await;
    eventually("the command runs", async || {
        client.events(&run, 500).await.iter().any(|event| event["type"] == "stdout").then_some(())
    })
    .await;
    first.kill().await;
    let _second = stack.respawn_executor();
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("succeeded"), &json!(0)), "{ended}");

    let evidence = client.evidence(&run).await;
    let attempts = evidence["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!((&attempts[0]["ended"], &attempts[1]["ended"]), (&json!("lost"), &json!("exited")));
    assert_ne!(attempts[0]["executorId"], attempts[1]["executorId"]);
    assert!(attempts[0].get("exitCode").is_none(), "nobody saw it");
    assert_eq!(evidence["completeness"]["lostAttempts"], json!([1]));
    assert_eq!(evidence["completeness"]["complete"], false, "what the lost executor had not sent is unknown");

    let events = client.events(&run, 500).await;
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], json!(index + 1), "one sequence over both attempts");
    }
    assert_eq!(events.iter().filter(|event| event["type"] == "terminal").count(), 1);
    let said: String = events.iter().filter(|e| e["type"] == "stdout").filter_map(|e| e["data"].as_str()).collect();
    assert_eq!(said, "attempt\nattempt\ndone\n");
}

#[tokio::test]
async fn a_run_whose_executors_all_die_is_given_up() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let client = stack.client();
    let run = client.submit(json!({"command": "echo on; sleep 1000"}), &archive(&[("x", "")])).await;
    let mut executor = stack.spawn_executor();
    for attempt in 1..=3 {
        eventually("another attempt runs", async || {
            let events = client.events(&run, 500).await;
            (events.iter().filter(|event| event["type"] == "stdout").count() == attempt).then_some(())
        })
        .await;
        executor.kill().await;
        executor = stack.respawn_executor();
    }
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["failureClass"]), (&json!("failed"), &json!("platform")), "{ended}");
    let evidence = client.evidence(&run).await;
    assert_eq!(evidence["outcome"], "error");
    assert_eq!(evidence["attempts"].as_array().unwrap().len(), 3);
    assert!(evidence.get("exitCode").is_none());
}

#[tokio::test]
async fn a_killed_collector_loses_and_doubles_nothing() {
    let stack = Stack::with(Options { collector: false, slots: 4, ..Default::default() }).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let command = json!({"command": "i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); sleep 0.005; done"});
    let mut collector = stack.spawn_collector();
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(client.submit(command.clone(), &archive).await);
    }
    for kill in 0..4 {
        eventually("events arrive", async || {
            let database = stack.admin.get().await.unwrap();
            let sql = "select coalesce(sum(next_seq), 0)::int8 from ingest.runs";
            let now: i64 = database.query_one(sql, &[]).await.unwrap().get(0);
            (now > 30 * (kill + 1)).then_some(())
        })
        .await;
        collector.kill().await;
        collector = stack.spawn_collector();
    }
    let expected: String = (0..200).map(|i| format!("{i}\n")).collect();
    for run in &runs {
        let ended = client.wait_terminal(run).await;
        assert_eq!(ended["status"], "succeeded", "{ended}");
        let events = client.events(run, 500).await;
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event["seq"], json!(index + 1));
        }
        let said: String = events.iter().filter(|e| e["type"] == "stdout").filter_map(|e| e["data"].as_str()).collect();
        assert_eq!(said, expected);
        assert_eq!(client.evidence(run).await["completeness"]["complete"], true);
    }
    let usage = eventually("all usage is recorded", async || {
        let usage = client.get("/v1/usage").await.expect(200);
        (usage["events"]["command_invocations"].as_f64() >= Some(6.0)).then_some(usage)
    })
    .await;
    assert_eq!(usage["events"]["command_invocations"], json!(6.0), "metered once each");
}

#[tokio::test]
async fn runs_in_the_queue_survive_a_broker_restart() {
    let folder = tempfile::Builder::new().prefix("crownest-broker-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut broker = RabbitMq::start(&folder.path().join("rabbitmq"), Durability::Durable).await.unwrap();
    let amqp_url = Some(broker.url().reveal().to_owned());
    let stack = Stack::with(Options { amqp_url, executor: false, ..Default::default() }).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let mut runs = Vec::new();
    for number in 0..10 {
        runs.push(client.submit(json!({"command": format!("echo {number}; sleep 0.5")}), &archive).await);
    }
    // One run is under way when the broker, whose queues are a second old, is killed.
    let _executor = stack.spawn_executor();
    client.wait_for(&runs[0], &["running", "collecting", "succeeded"]).await;
    broker.kill().await.unwrap();
    broker.start_again().await.unwrap();
    let ended = join_all(runs.iter().map(|run| client.wait_terminal(run))).await;
    for (number, run) in runs.iter().enumerate() {
        assert_eq!(ended[number]["status"], "succeeded", "{}", ended[number]);
        let events = client.events(run, 500).await;
        assert_eq!(events.iter().filter(|event| event["type"] == "terminal").count(), 1);
        let said: String = events.iter().filter(|e| e["type"] == "stdout").filter_map(|e| e["data"].as_str()).collect();
        assert!(said.ends_with(&format!("{number}\n")), "{said:?}");
    }
    drop(stack);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_job_that_nobody_understands_ends_its_run() {
    let stack = Stack::start().await;
    let client = stack.client();
    let run = client.create(json!({"command": "true"})).await;
    let amqp = stack.amqp();
    let message = Message {
        target: amqp.topology.jobs(),
        body: json!({"runId": run, "of": "a version to come"}).to_string().into(),
        content_type: "application/json",
        traceparent: None,
        about: None,
    };
    amqp.publisher().publish(message).await.expect("it is sent").confirmed().await.expect("it has arrived");
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["failureReason"]), (&json!("failed"), &json!("internal_error")));
    let evidence = client.evidence(&run).await;
    assert_eq!((&evidence["outcome"], &evidence["outcomeSource"]), (&json!("error"), &json!("broker")));
    assert!(evidence.get("exitCode").is_none(), "nothing ran");
    let verified = Crownest::trusting(&stack).await.run(["evidence", "verify", &run]).await.expect(0);
    assert!(verified.text().contains("everything here is what was sealed"), "{}", verified.text());
}
