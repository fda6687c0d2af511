//! The tables when collectors die: unfinished files are finished to the same bytes, and every run is in the tables
//! exactly once, at every moment, for readers that follow the rule of the document.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use collector::lake::TableWriter;
use schemas::lake::{FileName, TABLES, snapshot};
use serde_json::{Value, json};
use testkit::{Crownest, Options, Process, Stack, archive, eventually, generated};
use time::Date;
use time::macros::date;

const DAY: Date = date!(2020 - 01 - 31);
const OFTEN: &str = "--tables-interval-ms=100";
/// Flags of a collector that compacts as soon as there are two files.
const EAGER: [&str; 2] = [OFTEN, "--tables-settle-ms=0"];
/// Flags of a collector that does not compact.
const CALM: [&str; 1] = [OFTEN];

async fn stack() -> Stack {
    Stack::with(Options { collector: false, executor: false, metering: false, ..Options::default() }).await
}

async fn sql(stack: &Stack, sql: &str) {
    stack.admin.get().await.expect("the database answers").batch_execute(sql).await.expect("it is done");
}

async fn seal(stack: &Stack, numbers: std::ops::Range<u64>, day: Date) {
    let database = stack.admin.get().await.expect("the database answers");
    generated::seal(&stack.store, &database, numbers, day).await;
}

/// Every file of the tables.
async fn files(stack: &Stack) -> BTreeMap<String, Bytes> {
    let mut files = BTreeMap::new();
    for object in stack.store.list("tables/").await.expect("the store answers") {
        // The file may be deleted just now.
        if let Ok(bytes) = stack.store.get(&object.key).await {
            files.insert(object.key, bytes);
        }
    }
    files
}

async fn delete(stack: &Stack, keys: impl IntoIterator<Item = &String>) {
    for key in keys {
        stack.store.delete(key).await.expect("deleted");
    }
}

async fn restore(stack: &Stack, files: &BTreeMap<String, Bytes>) {
    for (key, bytes) in files {
        stack.store.put_new(key, bytes.clone(), "application/vnd.apache.parquet").await.expect("stored");
    }
}

/// Lets a collector work until these are the files.
async fn recover(stack: &Stack, flags: &[&str], ranges: &[(i64, i64)]) -> BTreeMap<String, Bytes> {
    let mut collector = stack.spawn_collector_with(flags);
    stack.wait_for_table_files(ranges).await;
    collector.kill().await;
    files(stack).await
}

/// Numbers of rows and of different runs that `crownest query` finds.
async fn counted(crownest: &Crownest) -> Value {
    let counts = "select count(*) as rows, count(distinct workspace_run_id) as runs,
                      (select count(*) from events_index) as segments,
                      (select count(distinct workspace_run_id) from events_index) as runs_with_segments,
                      (select count(*) from tests) as cases, sum(tests_listed)::int8 as cases_listed from runs";
    crownest.run(["--json", "query", counts]).await.expect(0).data()[0].clone()
}

fn all_once(count: u64) -> Value {
    json!({"rows": count, "runs": count, "segments": count, "runs_with_segments": count, "cases": 2 * count,
           "cases_listed": if count == 0 { json!(null) } else { json!(2 * count) }})
}

#[tokio::test]
async fn a_batch_that_a_crash_left_gets_the_same_bytes() {
    let stack = stack().await;
    seal(&stack, 0..20, DAY).await;
    let whole = recover(&stack, &CALM, &[(1, 1)]).await;
    let tables: BTreeSet<&str> = whole.keys().map(|key| key.split('/').nth(1).unwrap()).collect();
    assert_eq!(tables, TABLES.iter().map(|table| table.name).collect::<BTreeSet<_>>());
    assert!(whole.contains_key("tables/runs/date=2020-01-31/0000000001-0000000001.parquet"), "{:?}", whole.keys());

    // A batch is assigned, and no file written; some files missing; all written, but not marked.
    let unmark = "update collector.lake_files set rows = null, bytes = null, written_at = null";
    for left in [0, 2, 6] {
        delete(&stack, whole.keys().skip(left)).await;
        sql(&stack, unmark).await;
        assert_eq!(recover(&stack, &CALM, &[(1, 1)]).await, whole, "after {left} files");
    }

    // Another version wrote one of the files differently: the file has the same runs, and stays.
    let key = whole.keys().find(|key| key.contains("/usage/")).unwrap();
    let reader = |bytes: &Bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let at = text.rfind("crownest.members").unwrap();
        text[at..].split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 64).unwrap().to_owned()
    };
    let members = reader(&whole[key]);
    let table = schemas::lake::table("usage").unwrap();
    let other = TableWriter::new(table, &members).unwrap().finish().unwrap().bytes;
    delete(&stack, [key]).await;
    restore(&stack, &BTreeMap::from([(key.clone(), other.clone())])).await;
    sql(&stack, unmark).await;
    assert_eq!(recover(&stack, &CALM, &[(1, 1)]).await[key], other);

    // A file of other runs: nothing is marked as written until somebody has looked.
    let foreign = TableWriter::new(table, "others").unwrap().finish().unwrap().bytes;
    delete(&stack, [key]).await;
    restore(&stack, &BTreeMap::from([(key.clone(), foreign)])).await;
    sql(&stack, unmark).await;
    seal(&stack, 20..21, DAY).await;
    let mut collector = stack.spawn_collector_with(&CALM);
    let database = stack.admin.get().await.unwrap();
    eventually("it came to the batch after it", async || {
        let sql = "select count(*) from collector.lake_files where last_batch = 2";
        (database.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    let sql = "select count(*) from collector.lake_files where written_at is not null";
    assert_eq!(database.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
    delete(&stack, [key]).await;
    stack.wait_for_table_files(&[(1, 1), (2, 2)]).await;
    collector.kill().await;
    assert_eq!(counted(&Crownest::admin(&stack)).await, all_once(21));
}

#[tokio::test]
async fn a_compaction_that_a_crash_left_gets_the_same_bytes_and_no_reader_sees_it() {
    let stack = stack().await;
    let crownest = Crownest::admin(&stack);
    seal(&stack, 0..20, DAY).await;
    recover(&stack, &CALM, &[(1, 1)]).await;
    seal(&stack, 20..40, DAY).await;
    let small = recover(&stack, &CALM, &[(1, 1), (2, 2)]).await;
    sql(&stack, "create table saved as select * from collector.lake_files").await;
    let compacted = recover(&stack, &EAGER, &[(1, 2)]).await;
    assert_eq!((small.len(), compacted.len()), (12, 6));
    assert!(compacted.keys().all(|key| key.ends_with("/date=2020-01-31/0000000001-0000000002.parquet")));
    assert_eq!(counted(&crownest).await, all_once(40));

    let planned = "delete from collector.lake_files; insert into collector.lake_files select * from saved;
                   insert into collector.lake_files (date, first_batch, last_batch) values ('2020-01-31', 1, 2)";
    let marked = "insert into collector.lake_files select * from saved";
    for (state, of_compacted, of_small) in [
        // A compaction is planned, and no file written; some files missing; all written.
        (planned, 0, 12),
        (planned, 2, 12),
        (planned, 6, 12),
        // All replaced files are still there; or some of them.
        (marked, 6, 12),
        (marked, 6, 3),
    ] {
        let part = |files: &BTreeMap<String, Bytes>, count| files.clone().into_iter().take(count).collect();
        delete(&stack, compacted.keys().skip(of_compacted)).await;
        restore(&stack, &part(&small, of_small)).await;
        sql(&stack, state).await;
        assert_eq!(counted(&crownest).await, all_once(40), "{state} {of_compacted} {of_small}");
        assert_eq!(recover(&stack, &EAGER, &[(1, 2)]).await, compacted, "{state} {of_compacted} {of_small}");
        assert_eq!(counted(&crownest).await, all_once(40), "{state} {of_compacted} {of_small}");
    }

    // Late runs of the same day are added later, and again.
    seal(&stack, 40..45, DAY).await;
    let more = recover(&stack, &EAGER, &[(1, 3)]).await;
    assert_eq!(more.len(), 6);
    assert_eq!(counted(&crownest).await, all_once(45));

    // Made anew as documented, the tables have the same runs.
    delete(&stack, more.keys()).await;
    sql(&stack, "truncate collector.lake_files; update collector.seals set lake_batch = null").await;
    recover(&stack, &CALM, &[(1, 1)]).await;
    assert_eq!(counted(&crownest).await, all_once(45));
}

#[tokio::test]
async fn two_collectors_that_die_at_any_time_leave_every_run_once() {
    let stack = stack().await;
    let crownest = Crownest::admin(&stack);
    let days = [DAY, date!(2020 - 02 - 01), date!(2020 - 02 - 02)];
    let database = stack.admin.get().await.unwrap();
    let count = async |sql: &str| database.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    let mut collectors: [Process; 2] = [stack.spawn_collector_with(&EAGER), stack.spawn_collector_with(&EAGER)];
    let (mut sealed, mut seen) = (0, 0);
    for round in 0..9 {
        let assigned = count("select count(*) from collector.seals where lake_batch is not null").await;
        let day = days[round % 3];
        seal(&stack, sealed..sealed + 40, day).await;
        sealed += 40;
        // Kill in the middle of a batch, or of the compaction after it.
        let planned = "select count(*) from collector.lake_files where first_batch < last_batch and written_at is null";
        eventually("work begins", async || {
            let begun = count("select count(*) from collector.seals where lake_batch is not null").await > assigned;
            (begun && (round % 2 == 0 || count(planned).await > 0 || settled(&stack, sealed).await)).then_some(())
        })
        .await;
        let killed = &mut collectors[round % 2];
        killed.kill().await;
        *killed = stack.spawn_collector_with(&EAGER);
        // A reader meanwhile misses no run that was there, and finds none twice.
        let found = counted(&crownest).await;
        let runs = found["runs"].as_u64().unwrap();
        assert_eq!(found, all_once(runs));
        assert!(runs >= seen, "{runs} after {seen}");
        seen = runs;
    }
    eventually("all is written and compacted", async || settled(&stack, sealed).await.then_some(())).await;
    assert_eq!(counted(&crownest).await, all_once(sealed));
    let names: Vec<FileName> = files(&stack).await.keys().map(|key| key.parse().unwrap()).collect();
    assert_eq!(snapshot(names.clone()).len(), names.len(), "nothing is left that was replaced");
    assert_eq!(names.len(), TABLES.len() * days.len(), "one file for each day and table");
}

/// Every run is in a batch, and every day in one file.
async fn settled(stack: &Stack, sealed: u64) -> bool {
    let sql = "select (select count(*) from collector.seals where lake_batch is not null) = $1
                   and not exists (select from collector.lake_files where written_at is null)
                   and (select count(*) = count(distinct date) from collector.lake_files)";
    let database = stack.admin.get().await.expect("the database answers");
    let sealed = i64::try_from(sealed).expect("a small number");
    database.query_one(sql, &[&sealed]).await.expect("a row").get(0)
}

#[tokio::test]
async fn evidence_that_was_changed_is_left_out_and_holds_up_nothing() {
    let stack = stack().await;
    seal(&stack, 0..5, DAY).await;
    let prefix = |number| {
        let key = generated::bundle(number, DAY).event_log.parts.remove(0).object_key;
        key.trim_end_matches("events-00000.ndjson.zst").to_owned()
    };
    let changed = format!("{}evidence.json", prefix(1));
    let removed = format!("{}evidence.json", prefix(2));
    let no_log = format!("{}events-00000.ndjson.zst", prefix(3));
    // The owner may delete an artifact.
    let report = format!("{}artifacts/4", prefix(4));
    delete(&stack, [&changed, &removed, &no_log, &report]).await;
    stack.store.put_new(&changed, "{}".into(), "application/json").await.unwrap();
    let mut collector = stack.spawn_collector_with(&CALM);
    stack.wait_for_table_files(&[(1, 1)]).await;
    collector.kill().await;
    let sql = "select workspace_run_id as run, tests_total, tests_listed from runs order by 1";
    let found = Crownest::admin(&stack).run(["--json", "query", sql]).await;
    let row = |number, listed| json!({"run": generated::run_id(number), "tests_total": 2, "tests_listed": listed});
    assert_eq!(found.expect(0).data(), json!([row(0, 2), row(4, 0)]));
}

#[tokio::test]
async fn real_runs_whose_endings_are_redelivered_are_there_once() {
    let stack = Stack::with(Options { collector: false, ..Options::default() }).await;
    let client = stack.client();
    let archive = archive(&[("a", "b")]);
    let mut collectors = [stack.spawn_collector_with(&EAGER), stack.spawn_collector_with(&EAGER)];
    let mut runs = BTreeSet::new();
    for round in 0..4 {
        for _ in 0..6 {
            runs.insert(client.submit(json!({"command": "echo out; exit 1"}), &archive).await);
        }
        // The collector dies when endings are decided and sealed, but not acknowledged.
        let database = stack.admin.get().await.unwrap();
        let before = i64::from(round) * 6;
        eventually("an ending is decided", async || {
            let decided = database.query_one("select count(*) from collector.seals", &[]).await.unwrap();
            (decided.get::<_, i64>(0) > before).then_some(())
        })
        .await;
        let killed = &mut collectors[usize::from(round % 2 == 1)];
        killed.kill().await;
        *killed = stack.spawn_collector_with(&EAGER);
    }
    for run in &runs {
        assert_eq!(client.wait_terminal(run).await["status"], "failed");
    }
    let crownest = Crownest::admin(&stack);
    let sql = "select list(workspace_run_id order by workspace_run_id) as runs from runs";
    eventually("all are in the tables", async || {
        let found = crownest.run(["--json", "query", sql]).await.expect(0).data()[0]["runs"].clone();
        let rows = found.as_array().map_or(0, Vec::len);
        assert!(rows <= runs.len(), "{found}");
        (found == json!(runs)).then_some(())
    })
    .await;
}
