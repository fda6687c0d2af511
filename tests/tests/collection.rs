//! What comes after the command has bounds and hears a stop: artifacts, and the store that takes them.

use std::time::{Duration, Instant};

use schemas::artifact::ArtifactLimits;
use serde_json::{Value, json};
use testkit::{Client, Options, Stack, archive, eventually};

/// Time for a stop to be heard in any phase, for the broker, the seal and a busy machine included.
const SOON: Duration = Duration::from_secs(6);

/// Path, code and bound of each artifact error.
fn errors(evidence: &Value) -> Vec<(&str, &str, &str)> {
    let errors = evidence["artifactErrors"].as_array().expect("errors").iter();
    errors
        .map(|error| {
            let member = |name: &str| error[name].as_str().unwrap_or_default();
            (member("path"), member("code"), member("bound"))
        })
        .collect()
}

async fn set_limits(stack: &Stack, limits: ArtifactLimits) {
    let client = stack.admin.get().await.expect("the database answers");
    ingest::admin::set_plan_artifact_limits(&client, "local", limits).await.expect("the plan exists");
}

#[tokio::test]
async fn what_is_beyond_a_bound_is_an_artifact_error_that_names_it() {
    let flags = ["--artifact-bytes", "1000000", "--artifact-run-bytes", "9000000", "--artifacts", "4"];
    let options = Options { executor_flags: flags.map(str::to_owned).to_vec(), ..Options::default() };
    let stack = Stack::with(options).await;
    // The plan's bound, and the executor's where the plan has none.
    set_limits(&stack, ArtifactLimits { run_bytes: Some(2_000_000), ..ArtifactLimits::default() }).await;
    let client = stack.client();
    let command = "truncate -s 1T huge; mkdir holes many; truncate -s 700K holes/a holes/b; head -c 900000 /dev/zero > big; \
                   for i in 1 2 3 4 5; do echo $i > many/$i; done; printf '<testsuites/>' > report.xml";
    let artifacts = json!([
        {"path": "huge"},
        {"path": "holes"},
        {"path": "big"},
        // Equal requests are one artifact; another name is another copy, which counts.
        {"path": "/workspace/./big"},
        {"path": "big", "name": "copy"},
        {"path": "big", "name": "another"},
        {"path": "many/*"},
        {"path": "report.xml"},
    ]);
    let run = client.submit(json!({"command": command, "artifacts": artifacts}), &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let evidence = client.evidence(&run).await;
    let names: Vec<&str> =
        evidence["artifacts"].as_array().expect("artifacts").iter().filter_map(|of| of["name"].as_str()).collect();
    assert_eq!(names, ["big", "copy", "1", "2"]);
    let failed = "artifact_collect_failed";
    let expected = [
        ("huge", failed, "artifact_bytes"),
        ("holes", failed, "artifact_bytes"),
        ("big", failed, "run_bytes"),
        ("many/*", failed, "artifacts"),
        ("report.xml", failed, "artifacts"),
    ];
    assert_eq!(errors(&evidence), expected, "{}", evidence["artifactErrors"]);
    let message = evidence["artifactErrors"][0]["message"].as_str().expect("a message");
    let expected = "not collected: it has 1099511627776 bytes, more than the 1000000 that one artifact may have";
    assert_eq!(message, expected);
    let limits = json!({"artifactBytes": 1_000_000, "runBytes": 2_000_000, "artifacts": 4, "collectionMs": 600_000});
    assert_eq!(evidence["resources"]["limits"]["artifacts"], limits);
}

#[tokio::test]
async fn a_collection_that_takes_too_long_is_cut() {
    let flags = ["--collection-ms", "300"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { executor_flags: flags, ..Options::default() }).await;
    let client = stack.client();
    let body = json!({"command": "truncate -s 8G huge; echo small > small", "artifacts": [{"path": "huge"}, {"path": "small"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
    let evidence = client.evidence(&run).await;
    let failed = "artifact_collect_failed";
    assert_eq!(errors(&evidence), [("huge", failed, "time"), ("small", failed, "time")]);
    assert_eq!(evidence["artifacts"], json!([]));
}

/// A run that is collecting something huge.
async fn collecting(client: &Client) -> String {
    let body = json!({"command": "echo kept > kept; truncate -s 8G huge", "artifacts": [
        {"path": "kept"}, {"path": "huge"}, {"path": "later"},
    ]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    eventually("the first artifact is there", async || {
        client.events(&run, 500).await.iter().any(|event| event["type"] == "artifact_collected").then_some(())
    })
    .await;
    run
}

#[tokio::test]
async fn a_cancellation_ends_a_collection() {
    let stack = Stack::start().await;
    let client = stack.client();
    let run = collecting(&client).await;
    let told = Instant::now();
    client.cancel(&run).await.expect(200);
    let ended = client.wait_terminal(&run).await;
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
    assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("canceled"), &json!(0)), "{ended}");
    let evidence = client.evidence(&run).await;
    assert_eq!(evidence["artifacts"].as_array().expect("artifacts").len(), 1, "what is there is kept");
    let failed = "artifact_collect_failed";
    assert_eq!(errors(&evidence), [("huge", failed, ""), ("later", failed, "")]);
    assert_eq!(evidence["artifactErrors"][0]["message"], "not collected: the run was canceled");
}

#[tokio::test]
async fn a_shutdown_ends_a_collection_and_another_executor_does_it_again() {
    let stack = Stack::with(Options { executor: false, ..Options::default() }).await;
    let client = stack.client();
    let mut first = stack.spawn_executor_with(&["--drain-ms", "100"]);
    let run = collecting(&client).await;
    let told = Instant::now();
    assert!(first.terminate().await.success());
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
    let _second = stack.spawn_executor_with(&["--artifact-bytes", "1000000"]);
    let ended = client.wait_terminal(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(client.evidence(&run).await["attempts"].as_array().expect("attempts").len(), 2);
}

#[tokio::test]
async fn a_full_store_refuses_uploads_and_lets_runs_wait() {
    let stack = Stack::with(Options { executor: false, ..Options::default() }).await;
    let folder = stack.folder.path().display().to_string();
    let full = ["--s3-disk", &folder, "--s3-reserve-bytes", "18446744073709551615"];
    let (_ingest, url) = stack.spawn_ingest_with(&full);
    let client = Client::new(&url, stack.key());
    let reason = eventually("ingest says so", async || {
        let answer = client.request(reqwest::Method::GET, "/readyz").send().await.ok()?;
        answer.text().await.ok().filter(|text| text.contains("s3: "))
    })
    .await;
    assert!(reason.lines().any(|line| line.starts_with("s3: ") && line.contains("kept back")), "{reason}");
    let archive = archive(&[("x", "")]);
    let run = client.create(json!({"command": "true"})).await;
    let refused = client.upload(&run, &archive).await;
    assert!(refused.headers["retry-after"].to_str().expect("text").parse::<u64>().is_ok());
    assert_eq!(refused.error(503), "service_unavailable");

    // The same run, by a service that sees a store with space, and an executor that does not.
    let client = stack.client();
    client.upload(&run, &archive).await.expect(200);
    client.start(&run).await;
    let jobs = async |count: &str| {
        eventually(&format!("{count} jobs are in the queue"), async || {
            let answer = client.get(&format!("{}/metrics", stack.ingest_ops_url)).await;
            let text = answer.body.as_str().expect("text").to_owned();
            let is_depth = |line: &&str| line.starts_with("crownest_queue_messages{") && line.contains(".jobs.");
            (text.lines().find(is_depth)?.rsplit_once(' ')?.1 == count).then_some(())
        })
        .await;
    };
    jobs("1").await;
    let mut waiting = stack.spawn_executor_with(&full);
    jobs("0").await;
    assert_eq!(client.run(&run).await["status"], "starting");
    assert!(waiting.terminate().await.success());
    let _able = stack.spawn_executor();
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
    assert_eq!(
        client.evidence(&run).await["attempts"].as_array().expect("attempts").len(),
        1,
        "nobody claimed it before"
    );
}
