//! Environment variables of runs: they reach the command and nothing else; a run whose variables are lost fails and
//! says so.

use infra::amqp::Source;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Crownest, ENV_KEYS, Options, Stack, archive, eventually};

const TOKEN: &str = "canary-tok3n-value";
const KEY: &str = "-----BEGIN CANARY-----\ncanary0123456789\nlast-canary-line\n-----END CANARY-----\n";
const OTHER_KEYS: &str = "k2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

/// Prints the secrets in as many ways as it can, and proves that it has them.
const SCRIPT: &str = r#"
printf %s "$TOKEN" | sha256sum
printf 'plain %s\n' "$TOKEN"
printf %s "${TOKEN%?????????}"; sleep 0.3; printf '%s\n' "${TOKEN#?????????}"
printf '%s\n' "$KEY"
printf '%s' "$KEY" | tail -n 2
printf 'x%s' "$TOKEN" | base64
env | sort
echo "stderr $TOKEN" >&2
printf 'begins %s' "${TOKEN%?}"
"#;

fn asked() -> Value {
    let env = json!({"TOKEN": TOKEN, "KEY": KEY, "CI": "no", "PATH": "/usr/bin:/bin", "EMPTY": ""});
    json!({"command": "sh say.sh", "env": env})
}

/// Every row of all our tables as text, bytes as hexadecimal digits.
async fn database(stack: &Stack) -> String {
    let client = stack.admin.get().await.expect("the database answers");
    let tables = "select format('%I.%I', schemaname, tablename) from pg_tables
        where schemaname in ('ingest', 'collector', 'metering')";
    let mut text = String::new();
    for table in client.query(tables, &[]).await.expect("a list of tables") {
        let sql = format!("select t::text from {} t", table.get::<_, &str>(0));
        for row in client.query(&sql, &[]).await.expect("rows") {
            text.push_str(row.get(0));
        }
    }
    text
}

#[track_caller]
fn assert_hidden(what: &str, text: &str) {
    for canary in ["canary-tok3n", "canary0123", "last-canary"] {
        assert!(!text.contains(canary), "{what} has {canary}");
        assert!(!text.contains(&hex::encode(canary)), "{what} has {canary} in hexadecimal");
    }
}

#[tokio::test]
async fn values_reach_the_command_and_nothing_else() {
    let stack = Stack::with(Options { executor: false, ..Options::default() }).await;
    let client = stack.client();
    let create = || client.request(Method::POST, "/v1/workspace-runs").header("idempotency-key", "k").json(&asked());
    let made = client.send(create()).await.expect(201)["workspaceRun"].clone();
    let run = made["id"].as_str().unwrap();
    assert_eq!(made["envKeys"], json!(["CI", "EMPTY", "KEY", "PATH", "TOKEN"]));
    assert_eq!(client.send(create()).await.expect(201)["workspaceRun"], made, "the same answer again");
    let mut other = asked();
    other["env"]["TOKEN"] = json!("another value");
    let reused = client.request(Method::POST, "/v1/workspace-runs").header("idempotency-key", "k").json(&other);
    assert_eq!(client.send(reused).await.error(409), "idempotency_key_reused");

    client.upload(run, &archive(&[("say.sh", SCRIPT)])).await.expect(200);
    let live = client.stream(run, None, None).await;
    client.start(run).await;
    let harmless = json!({"command": "true"});
    let keyed = client.request(Method::POST, "/v1/workspace-runs").header("idempotency-key", "l").json(&harmless);
    client.send(keyed).await.expect(201);
    let before = database(&stack).await;
    let digest_of = |request| hex::encode(Sha256::digest(schemas::canonical::to_vec(request).unwrap()));
    assert!(before.contains(&digest_of(&harmless)), "the digest of a request without secrets is stored");
    assert!(!before.contains(&digest_of(&asked())), "nobody can try out secrets against a plain digest");
    assert!(before.contains(run) && before.contains("TOKEN"), "it was looked for in the right place");
    assert_hidden("the database before the run", &before);
    let mut jobs = stack.amqp().consume(Source::Jobs, 1);
    let job = jobs.next().await.expect("the job is in its queue");
    let job_text = String::from_utf8(job.body.to_vec()).unwrap();
    assert!(job_text.contains("TOKEN"), "{job_text}");
    assert_hidden("the job", &job_text);
    // Dropped unacknowledged, so that the job goes back to the queue.
    drop((job, jobs));

    let _executor = stack.spawn_executor();
    let live = live.rest().await;
    let ended = client.run(run).await;
    assert_eq!((&ended["status"], &ended["envKeys"]), (&json!("succeeded"), &made["envKeys"]), "{ended}");
    let said: String =
        live.iter().filter(|event| event["type"] == "stdout").filter_map(|e| e["data"].as_str()).collect();
    let digest = hex::encode(Sha256::digest(TOKEN));
    assert!(
        said.starts_with(&format!("{digest}  -\nplain ***\n***\n***\n***\n***\n***\n\n***\n***\neG***Q==\n")),
        "{said}"
    );
    assert!(said.contains("CI=no\n") && said.contains("EMPTY=\n") && said.contains("PATH=***\n"), "{said}");
    assert!(said.contains("LANG=C.UTF-8\n") && said.contains(&format!("CROWNEST_RUN_ID={run}\n")), "{said}");
    // The beginning of a secret is not a secret, and is printed at the end.
    assert!(said.ends_with(&format!("begins {}", &TOKEN[..TOKEN.len() - 1])), "{said}");
    let said = said.strip_suffix(&TOKEN[..TOKEN.len() - 1]).unwrap();
    assert_hidden("the output", said);
    let errors: String =
        live.iter().filter(|event| event["type"] == "stderr").filter_map(|e| e["data"].as_str()).collect();
    assert_eq!(errors, "stderr ***\n");
    assert_eq!(client.events(run, 500).await, live);

    let evidence = client.evidence(run).await;
    assert_eq!(evidence["envKeys"], made["envKeys"]);
    assert!(evidence["completeness"]["redactions"].as_u64().unwrap() >= 10, "{}", evidence["completeness"]);
    let bytes: usize =
        live.iter().filter(|e| e["type"] == "stdout").filter_map(|e| e["data"].as_str()).map(str::len).sum();
    assert_eq!(evidence["completeness"]["stdoutBytes"], json!(bytes), "counted as stored");
    assert_hidden("the evidence", &evidence.to_string());
    assert_eq!(sealed_rows(&stack).await, 0, "the values are forgotten");
}

async fn sealed_rows(stack: &Stack) -> i64 {
    let client = stack.admin.get().await.expect("the database answers");
    client.query_one("select count(*) from ingest.run_env", &[]).await.expect("a count").get(0)
}

#[tokio::test]
async fn an_event_log_in_the_store_has_no_secret() {
    let stack = Stack::start().await;
    let client = stack.client();
    let body = json!({"command": "for i in 1 2 3; do echo $TOKEN; echo $TOKEN >&2; done", "env": {"TOKEN": TOKEN}});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let evidence = client.evidence(&run).await;
    let mut log = Vec::new();
    for part in evidence["eventLog"]["parts"].as_array().unwrap() {
        let bytes = stack.store.get(part["objectKey"].as_str().unwrap()).await.unwrap();
        log.extend(zstd::decode_all(&bytes[..]).unwrap());
    }
    let log = String::from_utf8(log).unwrap();
    assert_hidden("the event log", &log);
    assert!(log.contains("***") && log.contains(r#""envKeys":["TOKEN"]"#), "{log}");
    assert_eq!(evidence["completeness"]["redactions"], 6);
    assert_hidden("the database after the run", &database(&stack).await);
}

#[tokio::test]
async fn a_run_never_runs_without_its_variables() {
    for (keys, expected) in [(Some(OTHER_KEYS), "key `k1`"), (None, "--env-key-file")] {
        let stack = Stack::with(Options { executor_env_keys: keys, ..Options::default() }).await;
        let client = stack.client();
        let archive = archive(&[("x", "")]);
        let run = client.submit(json!({"command": "echo ran", "env": {"TOKEN": TOKEN}}), &archive).await;
        let ended = client.wait_terminal(&run).await;
        assert_eq!((&ended["status"], &ended["failureReason"]), (&json!("failed"), &json!("internal_error")));
        assert_eq!((&ended["failureClass"], ended.get("exitCode")), (&json!("platform"), None));
        let evidence = client.evidence(&run).await;
        let message = evidence["outcomeMessage"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
        assert_hidden("the message", message);
        assert_eq!(evidence["envKeys"], json!(["TOKEN"]));
        let events = client.events(&run, 500).await;
        assert!(events.iter().all(|event| event["type"] != "stdout"), "nothing ran: {events:?}");
        let without = client.submit(json!({"command": "true"}), &archive).await;
        assert_eq!(client.wait_terminal(&without).await["status"], "succeeded", "others are not concerned");
    }
}

#[tokio::test]
async fn an_executor_with_rotated_keys_still_has_the_old_one() {
    let rotated = concat!(
        "k2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n",
        "k1 8f0a6d1b5c2e4f70918273645546372819a0b1c2d3e4f5061728394a5b6c7d8e\n"
    );
    assert!(rotated.ends_with(ENV_KEYS));
    let stack = Stack::with(Options { executor_env_keys: Some(rotated), ..Options::default() }).await;
    let client = stack.client();
    let body = json!({"command": "test \"$TOKEN\" = canary-tok3n-value", "env": {"TOKEN": TOKEN}});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
}

#[tokio::test]
async fn a_lost_attempt_is_repeated_with_the_same_variables() {
    let stack = Stack::with(Options { executor: false, ..Options::default() }).await;
    let client = stack.client();
    let first = stack.spawn_executor();
    let command = "echo \"[$TOKEN]\"; test \"$TOKEN\" = canary-tok3n-value || exit 3; sleep 1000";
    let run = client.submit(json!({"command": command, "env": {"TOKEN": TOKEN}}), &archive(&[("x", "")])).await;
    let said = async |times: usize| {
        eventually("the command has spoken", async || {
            let events = client.events(&run, 500).await;
            let said = events.iter().filter(|event| event["data"] == "[***]\n").count();
            (said == times).then_some(())
        })
        .await;
    };
    said(1).await;
    drop(first);
    let _second = stack.spawn_executor();
    said(2).await;
    client.cancel(&run).await.expect(200);
    assert_eq!(client.wait_terminal(&run).await["status"], "canceled");
    assert_eq!(client.evidence(&run).await["completeness"]["redactions"], 1, "of the attempt that ended");
    assert_eq!(sealed_rows(&stack).await, 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_without_a_word_about_values() {
    let stack = Stack::start().await;
    let client = stack.client();
    for (env, code) in [
        (json!({"CROWNEST_RUN_ID": TOKEN}), "reserved_env_key"),
        (json!({"HOME": TOKEN}), "reserved_env_key"),
        (json!({"A-B": TOKEN}), "invalid_request"),
        (json!({"A": [TOKEN]}), "invalid_request"),
        (json!({"A": format!("{TOKEN}\0")}), "invalid_request"),
        (json!(TOKEN), "invalid_request"),
    ] {
        let answer = client.post("/v1/workspace-runs", &json!({"command": "x", "env": env})).await;
        assert_hidden("the answer", &answer.body.to_string());
        assert_eq!(answer.error(400), code, "{env}");
    }
    let keyless = Stack::with(Options { ingest_env_keys: None, ..Options::default() }).await;
    let client = keyless.client();
    let answer = client.post("/v1/workspace-runs", &json!({"command": "x", "env": {"A": TOKEN}})).await;
    assert_eq!(answer.error(400), "unsupported_runtime_option");
    let run = client.submit(json!({"command": "true", "env": {}}), &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], ended.get("envKeys")), (&json!("succeeded"), None));
}

#[tokio::test]
async fn the_command_line_takes_variables_and_asks_for_them_again() {
    let stack = Stack::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (packed, file, id_file) = (folder.path().join("a.tgz"), folder.path().join("ci.env"), folder.path().join("id"));
    std::fs::write(&packed, &archive(&[("x", "")]).bytes).unwrap();
    std::fs::write(&file, "# for tests\nFROM_FILE=file\nTOKEN=file\n").unwrap();
    let (packed, file, id_file) = (packed.to_str().unwrap(), file.to_str().unwrap(), id_file.to_str().unwrap());
    let crownest = Crownest::of(&stack).with("TOKEN", TOKEN);
    let args = ["workspace-runs", "run-archive", packed, "--env", "TOKEN", "--env-file", file, "--env", "GIVEN=a=b"];
    let command = ["--id-file", id_file, "--", "echo $TOKEN $FROM_FILE $GIVEN"];
    let ran = crownest.run([&args[..], &command].concat()).await.expect(0);
    assert_eq!(ran.text(), "*** file a=b\n");
    assert_hidden("standard error", &ran.stderr);

    let run = std::fs::read_to_string(id_file).unwrap();
    let again = ["workspace-runs", "rerun", run.trim(), "--env", "TOKEN", "--env-file", file];
    let refused = crownest.run(again).await.expect(1);
    assert!(refused.stderr.contains("cannot be read back: GIVEN"), "{}", refused.stderr);
    let ran = crownest.run([&again[..], &["--env", "GIVEN=new"]].concat()).await.expect(0);
    assert_eq!(ran.text(), "*** file new\n");
    let shown = crownest.run(["workspace-runs", "status", run.trim()]).await.expect(0);
    assert!(shown.text().contains("FROM_FILE") && !shown.text().contains("a=b"), "{}", shown.text());
    let wrong = crownest.run([&args[..4], &["canary-tok3n", "--", "x"]].concat()).await.expect(1);
    assert_hidden("a usage error", &wrong.stderr);
}
