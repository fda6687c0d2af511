//! The tables of sealed runs: every sealed run is in them, other people's tools read them, and the ready queries
//! answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use schemas::lake::TABLES;
use serde_json::{Value, json};
use testkit::{Crownest, DEADLINE, Options, Stack, archive, eventually, installed};

/// All tables below a folder, as DuckDB, Polars and PyArrow agree on them.
async fn read(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let reader = tokio::process::Command::new(installed("crownest-table-readers"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tables.py"))
        .arg(folder.join("tables"))
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(DEADLINE, reader).await.expect("it ends in time");
    let ended = ended.expect("it is installed: run `infra/setup.sh --test`");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    serde_json::from_slice(&ended.stdout).expect("tables")
}

/// The rows of one run.
fn of_run<'a>(tables: &'a BTreeMap<String, Vec<Value>>, table: &str, run: &str) -> Vec<&'a Value> {
    let rows = tables.get(table).map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter(|row| row["workspace_run_id"] == run).collect()
}

/// Fetches the tables until these runs are in them.
async fn synchronized(crownest: &Crownest, runs: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().to_str().expect("a plain path");
    eventually("the runs are in the tables", async || {
        crownest.run(["--json", "tables", "sync", path]).await.expect(0);
        let listed = "select list(workspace_run_id) as runs from runs";
        let found = crownest.run(["--json", "query", "--tables", path, listed]).await.expect(0).data();
        runs.iter().all(|run| found[0]["runs"].as_array().is_some_and(|all| all.contains(&json!(run)))).then_some(())
    })
    .await;
    folder
}

/// The statements of the document's examples, in order.
fn ready_queries() -> Vec<String> {
    let document = include_str!("../../docs/reference/tables.md");
    let blocks = document.split("```sql\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("the end of a block").to_owned()).collect()
}

const JUNIT: &str = r#"<testsuites><testsuite name="suite"><testcase classname="a.B" name="always" time="1.5"/>
    <testcase classname="a.B" name="sometimes" file="b.py">RESULT</testcase></testsuite></testsuites>"#;

#[tokio::test]
async fn three_readers_and_the_ready_queries_find_every_run_as_it_was_sealed() {
    let options =
        Options { collector_flags: vec!["--tables-interval-ms".to_owned(), "300".to_owned()], ..Options::default() };
    let stack = Stack::with(options).await;
    let client = stack.client();
    let passed = JUNIT.replace("RESULT", "");
    let failed = JUNIT.replace("RESULT", r#"<failure message="expected s3cret"/>"#);
    let archive = archive(&[("passed.xml", &passed), ("failed.xml", &failed)]);
    let body = |result: &str, code: &str| {
        json!({
            "command": "cp $RESULT.xml junit.xml; exit $CODE", "env": {"RESULT": result, "CODE": code},
            "artifacts": [{"path": "junit.xml"}], "sourceMetadata": {"repository": "example/crow"},
            "metadata": {"branch": "it's \"main\""},
        })
    };
    let succeeded = client.submit(body("passed", "0"), &archive).await;
    let broken = client.submit(body("failed", "3"), &archive).await;
    let canceled = client.create(json!({"command": "true"})).await;
    client.cancel(&canceled).await.expect(200);
    let runs = [&*succeeded, &broken, &canceled];
    for run in runs {
        client.wait_terminal(run).await;
    }

    let crownest = Crownest::admin(&stack);
    let folder = synchronized(&crownest, &runs).await;
    let tables = read(folder.path()).await;
    assert_eq!(tables.len(), TABLES.len());
    for table in TABLES {
        let rows = &tables[table.name];
        assert!(rows.iter().all(|row| row["org_id"] == stack.org.as_str()), "{rows:?}");
        let keys = rows.iter().map(|row| table.key.iter().map(|key| row[*key].to_string()).collect::<Vec<_>>());
        assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), rows.len(), "{}", table.name);
    }
    for run in runs {
        let evidence = client.evidence(run).await;
        let [row] = of_run(&tables, "runs", run)[..] else { panic!("{run} is there once") };
        for (column, member) in [
            ("outcome", &evidence["outcome"]),
            ("failure_reason", &evidence["failureReason"]),
            ("exit_code", &evidence["exitCode"]),
            ("command", &evidence["command"]),
            ("archive_sha256", &evidence["archive"]["sha256"]),
            ("template_slug", &evidence["template"]["slug"]),
            ("compute_unit_millis", &evidence["usage"]["computeUnitMillis"]),
            ("event_count", &evidence["eventLog"]["count"]),
            ("memory_peak_bytes", &evidence["resources"]["memoryPeakBytes"]),
            ("tests_failed", &evidence["tests"]["failed"]),
            ("complete", &evidence["completeness"]["complete"]),
        ] {
            assert_eq!(&row[column], member, "{column} of {run}");
        }
        let created = evidence["createdAt"].as_str().unwrap();
        assert_eq!(row["created_at"], json!(created.parse::<schemas::Timestamp>().unwrap().unix_millis()));
        assert_eq!(row["date"], created[..10]);
        assert_eq!(row["metadata"], serde_json::to_string(&evidence["metadata"]).unwrap());
        let stored = stack.store.get(row["evidence_key"].as_str().unwrap()).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&stored).unwrap(), evidence);
        check_attempts_and_artifacts(&tables, run, &evidence);
        check_index(&stack, &tables, run, &evidence).await;
    }
    check_tests(&tables, &succeeded, &broken);
    check_usage(&stack, &tables).await;

    let path = folder.path().to_str().unwrap();
    let answers = check_ready_queries(&crownest, path).await;
    assert_eq!(answers[0][0]["repository"], "example/crow");
    let flaky = &answers[1];
    assert_eq!(
        (&flaky[0]["name"], &flaky[0]["passed"], &flaky[0]["failed"]),
        (&json!("sometimes"), &json!(1), &json!(1))
    );
    assert_eq!(flaky.as_array().unwrap().len(), 1, "{flaky}");
    let reasons = answers[2].as_array().unwrap();
    assert!(reasons.iter().any(|row| row["reason"] == "command_exit" && row["runs"] == 1), "{reasons:?}");
}

fn check_attempts_and_artifacts(tables: &BTreeMap<String, Vec<Value>>, run: &str, evidence: &Value) {
    let attempts = evidence["attempts"].as_array().expect("a list");
    let found = of_run(tables, "attempts", run);
    assert_eq!(found.len(), attempts.len());
    for (row, attempt) in found.iter().zip(attempts) {
        assert_eq!((&row["executor_id"], &row["ended"]), (&attempt["executorId"], &attempt["ended"]));
    }
    let artifacts = evidence["artifacts"].as_array().expect("a list");
    let found = of_run(tables, "artifacts", run);
    assert_eq!(found.len(), artifacts.len());
    for (row, artifact) in found.iter().zip(artifacts) {
        assert_eq!((&row["artifact_id"], &row["sha256"]), (&artifact["id"], &artifact["sha256"]));
        assert_eq!(row["report_format"], "junit");
    }
}

/// Checks that the index points at the events.
async fn check_index(stack: &Stack, tables: &BTreeMap<String, Vec<Value>>, run: &str, evidence: &Value) {
    let (mut next, number) = (1, |row: &Value, column: &str| row[column].as_u64().expect("a number"));
    let mut rows = of_run(tables, "events_index", run);
    rows.sort_by_key(|row| number(row, "first_seq"));
    for row in rows {
        let (first, length) = (number(row, "offset_bytes"), number(row, "length_bytes"));
        let key = row["object_key"].as_str().expect("a text");
        let frame = stack.store.get_range(key, first..=first + length - 1).await.expect("it is there");
        let plain = zstd::bulk::decompress(&frame, 1 << 20).expect("well-formed");
        assert_eq!(plain.len() as u64, number(row, "plain_bytes"));
        for line in plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event: Value = serde_json::from_slice(line).expect("well-formed");
            assert_eq!(event["seq"], json!(next));
            next += 1;
        }
        assert_eq!(number(row, "last_seq"), next - 1);
    }
    assert_eq!(json!(next - 1), evidence["eventLog"]["lastSeq"]);
}

fn check_tests(tables: &BTreeMap<String, Vec<Value>>, succeeded: &str, broken: &str) {
    for (run, status) in [(succeeded, "passed"), (broken, "failed")] {
        let mut cases = of_run(tables, "tests", run);
        cases.sort_by_key(|case| case["case_number"].as_u64());
        assert_eq!(cases.len(), 2);
        let expected = json!(["suite", "a.B", "sometimes", "b.py", status]);
        let found = ["suite", "class_name", "name", "file", "status"].map(|column| cases[1][column].clone());
        assert_eq!(json!(found), expected);
        assert_eq!((&cases[0]["duration_ms"], &cases[0]["status"]), (&json!(1500), &json!("passed")));
        assert_eq!(cases[1]["message"], Value::Null, "what it says may be secret");
    }
    let everything = serde_json::to_string(&tables).expect("well-formed");
    assert!(!everything.contains("s3cret"));
}

/// Checks that the table and the ledger have the same usage.
async fn check_usage(stack: &Stack, tables: &BTreeMap<String, Vec<Value>>) {
    let rows = &tables["usage"];
    let database = stack.admin.get().await.expect("it is there");
    let ledger = eventually("metering has recorded it", async || {
        let sql = "select event_id, quantity_millis from metering.ledger";
        let rows: BTreeMap<String, i64> =
            database.query(sql, &[]).await.expect("it is there").iter().map(|row| (row.get(0), row.get(1))).collect();
        (rows.len() >= 8).then_some(rows)
    })
    .await;
    let used: BTreeMap<String, i64> = rows
        .iter()
        .map(|row| {
            (
                row["usage_event_id"].as_str().expect("a text").to_owned(),
                row["quantity_millis"].as_i64().expect("a number"),
            )
        })
        .collect();
    assert_eq!(used, ledger);
}

/// Checks that every example of the document works, and that none is empty without reason.
async fn check_ready_queries(crownest: &Crownest, folder: &str) -> Vec<Value> {
    let queries = ready_queries();
    assert!(queries.len() >= 8);
    let mut answers = Vec::new();
    for query in queries {
        let answer = crownest.run(["--json", "query", "--tables", folder, &query]).await.expect(0).data();
        assert!(answer.as_array().is_some_and(|rows| !rows.is_empty()) || query.contains("lost > 0"), "{query}");
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn messages_of_test_cases_are_there_where_the_operator_wants_them() {
    let flags = ["--tables-interval-ms", "300", "--tables-test-messages"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { collector_flags: flags, ..Options::default() }).await;
    let client = stack.client();
    let report = JUNIT.replace("RESULT", r#"<failure message="expected 1, got 2"/>"#);
    let body = json!({"command": "exit 1", "artifacts": [{"path": "junit.xml"}]});
    let run = client.submit(body, &archive(&[("junit.xml", &report)])).await;
    client.wait_terminal(&run).await;
    let folder = synchronized(&Crownest::admin(&stack), &[&run]).await;
    let tables = read(folder.path()).await;
    let messages: Vec<&Value> = tables["tests"].iter().map(|case| &case["message"]).collect();
    assert!(messages.contains(&&json!("expected 1, got 2")), "{messages:?}");
    assert!(tables["tests"].iter().any(|case| case["message_truncated"] == false));
}

#[tokio::test]
async fn questions_are_answered_from_the_store_and_mistakes_explained() {
    let stack =
        Stack::with(Options { collector_flags: vec!["--tables-interval-ms=300".to_owned()], ..Options::default() })
            .await;
    let crownest = Crownest::admin(&stack);
    // There are no runs, and so no files.
    let none = crownest.run(["--json", "query", "select count(*) as runs, max(created_at) as last from runs"]).await;
    assert_eq!(none.expect(0).data(), json!([{"runs": 0, "last": null}]));

    let client = stack.client();
    let run =
        client.submit(json!({"command": "printf '\\033[31m'; : '\u{1b}]0;title\u{7}'"}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    eventually("it is there", async || {
        let answer = crownest.run(["--json", "query", "select workspace_run_id as run from runs"]).await.expect(0);
        (answer.data() == json!([{"run": run}])).then_some(())
    })
    .await;
    for (format, expected) in [
        ("csv", format!("run,outcome\n{run},success\n")),
        ("jsonl", format!("{{\"run\":\"{run}\",\"outcome\":\"success\"}}\n")),
        ("json", format!("[{{\"run\":\"{run}\",\"outcome\":\"success\"}}]\n")),
    ] {
        let sql = "select workspace_run_id as run, outcome from runs";
        assert_eq!(crownest.run(["query", "--format", format, sql]).await.expect(0).text(), expected);
    }
    let table = crownest.run(["query", "select command from runs -- all"]).await.expect(0).text();
    assert!(table.contains(r"\u{1b}]0;title\u{7}") && !table.contains('\u{1b}'), "{table}");

    let (code, message) = crownest.run(["--json", "query", "select nothing from runs"]).await.error();
    assert!(code == "query_failed" && message.contains("nothing"), "{message}");
    let (code, _) = crownest.run(["--json", "query", "--tables", "/proc", "select 1"]).await.error();
    assert_eq!(code, "no_tables");
    let elsewhere = Crownest::admin(&stack).with("CROWNEST_DUCKDB", "/nowhere/duckdb");
    let missing = elsewhere.run(["query", "select 1"]).await.expect(1);
    assert!(missing.stderr.contains("no_duckdb") && missing.stderr.contains("duckdb-cli"), "{}", missing.stderr);
}
