//! The tables in an Iceberg catalog: PyIceberg and DuckDB find through it the rows of the Parquet files, whatever
//! happened to the collector or the catalog in between.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Crownest, DEADLINE, Options, Process, Stack, eventually, generated, installed};
use time::Date;
use time::macros::date;
use tokio::io::AsyncWriteExt;

const DAY: Date = date!(2020 - 01 - 31);
const OFTEN: &str = "--tables-interval-ms=100";
/// Compacts as soon as there are two files.
const EAGER: &str = "--tables-settle-ms=0";

async fn stack() -> Stack {
    Stack::with(Options { collector: false, executor: false, metering: false, ..Options::default() }).await
}

async fn seal(stack: &Stack, numbers: std::ops::Range<u64>, day: Date) {
    let database = stack.admin.get().await.expect("the database answers");
    generated::seal(&stack.store, &database, numbers, day).await;
}

fn collector(stack: &Stack, more: &[&str]) -> Process {
    let flags = stack.iceberg_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain([OFTEN]).chain(more.iter().copied()).collect();
    stack.spawn_collector_with(&flags)
}

/// Runs a script of readers; returns its answer.
async fn script(name: &str, argument: &str, input: &Value) -> BTreeMap<String, Value> {
    let mut reader = tokio::process::Command::new(installed("crownest-table-readers"))
        .arg(format!("{}/{name}", env!("CARGO_MANIFEST_DIR")))
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("it is installed: run `infra/setup.sh --test`");
    let mut stdin = reader.stdin.take().expect("it is piped");
    stdin.write_all(input.to_string().as_bytes()).await.expect("it reads");
    drop(stdin);
    let ended = tokio::time::timeout(DEADLINE, reader.wait_with_output()).await.expect("it ends in time");
    let ended = ended.expect("it ran");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    serde_json::from_slice(&ended.stdout).expect("tables")
}

/// The content of each table in this test's namespace, on which two readers agree.
async fn read(stack: &Stack) -> BTreeMap<String, Value> {
    script("iceberg.py", "", &stack.iceberg()).await
}

/// The content of each table in the files.
async fn read_files(stack: &Stack) -> BTreeMap<String, Value> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().to_str().expect("a plain path");
    Crownest::admin(stack).run(["tables", "sync", path]).await.expect(0);
    script("tables.py", &format!("{path}/tables"), &Value::Null).await
}

/// The catalog, through its own protocol.
struct Catalog {
    http: reqwest::Client,
    tables: String,
    token: String,
}

impl Catalog {
    async fn of(stack: &Stack) -> Self {
        stack.client();
        let (http, access) = (reqwest::Client::new(), stack.iceberg());
        let text = |member: &str| access[member].as_str().expect("a text").to_owned();
        let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", text("id"), text("secret"));
        let token = http
            .post(format!("{}/v1/oauth/tokens", text("uri")))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let token: Value = token.send().await.expect("an answer").json().await.expect("a token");
        let prefix = text("warehouse").replace("s3://", "");
        Self {
            http,
            tables: format!("{}/v1/{prefix}/namespaces/{}/tables", text("uri"), text("namespace")),
            token: token["access_token"].as_str().expect("a text").to_owned(),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Option<Value> {
        let request = self.http.request(method, format!("{}{path}", self.tables)).bearer_auth(&self.token);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let body = answer.text().await.expect("a body");
        assert!(status.is_success() || status == 404, "{status} {body}");
        status.is_success().then(|| serde_json::from_str(&body).unwrap_or_default())
    }

    /// Number of rows of a table, from the summary of its snapshot.
    async fn total(&self, table: &str) -> Option<u64> {
        let metadata = self.ask(Method::GET, &format!("/{table}"), None).await?["metadata"].take();
        let snapshots = metadata["snapshots"].as_array()?;
        let current = snapshots.iter().find(|each| each["snapshot-id"] == metadata["current-snapshot-id"])?;
        current["summary"]["total-records"].as_str()?.parse().ok()
    }

    async fn drop(&self, table: &str) {
        self.ask(Method::DELETE, &format!("/{table}?purgeRequested=false"), None).await.expect("it is there");
    }

    /// Waits until this many runs are registered, with everything that belongs to them.
    async fn wait_for(&self, count: u64) {
        eventually(&format!("{count} runs are registered"), async || {
            for table in ["runs", "events_index"] {
                (self.total(table).await == Some(count)).then_some(())?;
            }
            (self.total("tests").await == Some(2 * count)).then_some(())
        })
        .await;
    }
}

fn runs(tables: &BTreeMap<String, Value>) -> BTreeSet<&str> {
    let rows = tables["runs"]["rows"].as_array().expect("a list");
    let runs: BTreeSet<&str> = rows.iter().map(|row| row["workspace_run_id"].as_str().expect("a text")).collect();
    assert_eq!(runs.len(), rows.len(), "each is there once");
    runs
}

fn operations(table: &Value) -> Vec<&str> {
    let snapshots = table["snapshots"].as_array().expect("a list");
    snapshots.iter().map(|summary| summary["operation"].as_str().expect("a text")).collect()
}

/// Checks that `iceberg/` in the bucket of evidence has exactly the objects that the catalog points at.
async fn check_objects(stack: &Stack, tables: &BTreeMap<String, Value>) {
    let found = stack.store.list("iceberg/").await.expect("the store answers").len() as u64;
    let lists = tables.values().map(|table| table["snapshots"].as_array().expect("a list").len() as u64).sum::<u64>();
    let manifests = tables.values().map(|table| table["manifests"].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(found, lists + manifests);
}

#[tokio::test]
async fn engines_find_in_the_catalog_what_the_files_have() {
    let stack = stack().await;
    let catalog = Catalog::of(&stack).await;
    let today = time::OffsetDateTime::now_utc().date();
    let mut collector = collector(&stack, &["--iceberg-keep-snapshots-ms=3600000"]);
    seal(&stack, 0..30, DAY).await;
    catalog.wait_for(30).await;
    seal(&stack, 30..35, today).await;
    catalog.wait_for(35).await;
    seal(&stack, 35..40, DAY).await;
    catalog.wait_for(40).await;

    let (found, files) = (read(&stack).await, read_files(&stack).await);
    assert_eq!(found.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    for (name, table) in &found {
        assert_eq!(table["rows"], files[name], "{name}");
        assert!(operations(table).iter().all(|operation| *operation == "append"), "{table}");
        assert!(operations(table).len() >= 3, "{table}");
        let listed: Vec<String> =
            stack.store.list(&format!("tables/{name}/")).await.unwrap().into_iter().map(|o| o.key).collect();
        let registered = table["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned());
        assert_eq!(
            registered.collect::<Vec<_>>(),
            listed.iter().map(|key| format!("s3://{}/{key}", stack.store.bucket())).collect::<Vec<_>>()
        );
        // Both days have a manifest, and a query about one day opens none of the other's files.
        assert_eq!(table["manifests"], 2, "{table}");
        let of_today = listed.iter().filter(|key| key.contains(&format!("date={today}"))).count();
        assert_eq!(table["recent"], of_today, "{table}");
    }
    assert_eq!(runs(&found).len(), 40);
    collector.kill().await;
}

#[tokio::test]
async fn whenever_a_collector_dies_the_next_one_brings_the_catalog_to_the_files() {
    let stack = stack().await;
    let catalog = Catalog::of(&stack).await;
    // Killed at different moments of batches and of compactions.
    for (round, wait_ms) in [0, 150, 400, 700, 1_000, 1_500].into_iter().enumerate() {
        let first = round as u64 * 10;
        let mut collector = collector(&stack, &[EAGER, "--iceberg-keep-snapshots-ms=0"]);
        seal(&stack, first..first + 10, DAY).await;
        // This is the time of the kill, not a wait for something.
        tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
        collector.kill().await;
    }
    let mut collector = collector(&stack, &[EAGER, "--iceberg-keep-snapshots-ms=0"]);
    catalog.wait_for(60).await;
    let database = stack.admin.get().await.unwrap();
    eventually("everything is compacted into one file", async || {
        let sql = "select count(*) as files, count(written_at) as written from collector.lake_files";
        let row = database.query_one(sql, &[]).await.unwrap();
        ((row.get::<_, i64>(0), row.get::<_, i64>(1)) == (1, 1)).then_some(())
    })
    .await;
    collector.terminate().await;

    let (found, files) = (read(&stack).await, read_files(&stack).await);
    for (name, table) in &found {
        assert_eq!(table["rows"], files[name], "{name}");
        assert_eq!(table["files"].as_array().unwrap().len(), 1, "{table}");
        assert_eq!(operations(table).len(), 1, "what others had is deleted: {table}");
    }
    assert_eq!(runs(&found).len(), 60);
}

#[tokio::test]
async fn a_catalog_that_is_away_holds_up_no_run_and_gets_everything_later() {
    let stack = stack().await;
    let catalog = Catalog::of(&stack).await;
    // This catalog accepts connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("--iceberg-uri=http://{}", silent.local_addr().unwrap());
    let away = [&*uri, OFTEN, EAGER];
    let mut collector_without = stack.spawn_collector_with(&away);
    seal(&stack, 0..5, DAY).await;
    stack.wait_for_table_files(&[(1, 1)]).await;
    seal(&stack, 5..10, DAY).await;
    // Both files stay: readers that the catalog sends there must find them.
    stack.wait_for_table_files(&[(1, 1), (2, 2)]).await;
    assert_eq!(catalog.total("runs").await, None);
    collector_without.terminate().await;

    let mut collector = collector(&stack, &[EAGER, "--iceberg-keep-snapshots-ms=0"]);
    stack.wait_for_table_files(&[(1, 2)]).await;
    catalog.wait_for(10).await;
    let found = read(&stack).await;
    assert_eq!(operations(&found["runs"]), ["replace"]);
    check_objects(&stack, &found).await;

    // Somebody else writes to the tables.
    let intruded = script("iceberg.py", "intrude", &stack.iceberg()).await;
    assert_eq!(intruded["runs"]["rows"], 20);
    seal(&stack, 10..11, DAY).await;
    stack.wait_for_table_files(&[(1, 3)]).await;
    catalog.wait_for(11).await;
    assert_eq!(runs(&read(&stack).await).len(), 11);

    // A tag keeps a snapshot in the catalog, and stops nobody from going on.
    script("iceberg.py", "tag", &stack.iceberg()).await;
    seal(&stack, 11..12, DAY).await;
    stack.wait_for_table_files(&[(1, 4)]).await;
    catalog.wait_for(12).await;
    assert_eq!(operations(&read(&stack).await["runs"]).len(), 2);

    // The table is dropped, with the rest of it in the bucket.
    catalog.drop("runs").await;
    for object in stack.store.list("iceberg/events_index").await.unwrap() {
        stack.store.delete(&object.key).await.unwrap();
    }
    collector.terminate().await;
    let mut collector = self::collector(&stack, &[EAGER, "--iceberg-keep-snapshots-ms=0"]);
    seal(&stack, 12..13, DAY).await;
    stack.wait_for_table_files(&[(1, 5)]).await;
    catalog.wait_for(13).await;
    collector.terminate().await;
    assert_eq!(runs(&read(&stack).await).len(), 13);
}

#[tokio::test]
async fn a_table_of_an_older_version_gets_the_new_columns_and_one_of_others_is_left_alone() {
    let stack = stack().await;
    let catalog = Catalog::of(&stack).await;
    let mut collector = collector(&stack, &["--iceberg-keep-snapshots-ms=0"]);
    seal(&stack, 0..1, DAY).await;
    catalog.wait_for(1).await;
    collector.terminate().await;

    // Older versions wrote no field ids.
    let before = read(&stack).await;
    script("iceberg.py", "forget_ids", &stack.iceberg()).await;
    for name in before.keys() {
        catalog.drop(name).await;
    }

    let spec = json!({"spec-id": 0, "fields": schemas::lake::iceberg::partition_fields()});
    let properties = json!({"format-version": "2"});
    let mut older = schemas::lake::table("runs").unwrap().iceberg_schema();
    older["fields"].as_array_mut().unwrap().truncate(20);
    let others = json!({"type": "struct", "schema-id": 0, "fields": [
        {"id": 1, "name": "date", "type": "date", "required": false},
        {"id": 2, "name": "workspace_run_id", "type": "long", "required": false},
    ]});
    for (name, schema) in [("runs", older), ("tests", others)] {
        let table = json!({"name": name, "schema": schema, "partition-spec": spec, "properties": properties});
        catalog.ask(Method::POST, "", Some(table)).await.unwrap();
    }
    let mut collector = self::collector(&stack, &["--iceberg-keep-snapshots-ms=0"]);
    seal(&stack, 1..3, DAY).await;
    eventually("the runs are registered", async || (catalog.total("runs").await == Some(3)).then_some(())).await;
    collector.terminate().await;
    assert_eq!(catalog.total("tests").await, None);
    let (found, files) = (read(&stack).await, read_files(&stack).await);
    for (name, table) in found.iter().filter(|(name, _)| *name != "tests") {
        assert_eq!(table["rows"], files[name], "{name}");
    }
    assert_eq!(found["tests"]["rows"], json!([]));
}
