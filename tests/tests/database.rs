//! Guards of the database itself: the state machine, and the rights of roles.

use infra::config::Secret;
use schemas::run::RunStatus;
use testkit::{Lease, Options, Stack};

#[tokio::test]
async fn the_database_has_the_same_state_machine() {
    let stack = Stack::start().await;
    let client = stack.admin.get().await.unwrap();
    for &from in RunStatus::ALL {
        for &next in RunStatus::ALL {
            let sql = "select ingest.run_can_become($1, $2)";
            let answer: bool = client.query_one(sql, &[&from.as_str(), &next.as_str()]).await.unwrap().get(0);
            // The guard only sees changes of state.
            if from != next {
                assert_eq!(answer, from.can_become(next), "{from} -> {next}");
            }
        }
    }
    let run = stack.client().create(serde_json::json!({"command": "true"})).await;
    let refused = client.execute("update ingest.runs set status = 'running' where id = $1", &[&run]).await.unwrap_err();
    assert_eq!(refused.as_db_error().and_then(|error| error.constraint()), Some("run_status_order"));
    let unknown = client.execute("update ingest.runs set status = 'done' where id = $1", &[&run]).await;
    assert!(unknown.is_err());
}

#[tokio::test]
async fn each_service_reaches_its_own_tables_only() {
    let lease = tokio::task::spawn_blocking(Lease::take).await.unwrap();
    let tables = [
        ("ingest", "ingest.runs"),
        ("ingest", "ingest.run_env"),
        ("collector", "collector.segments"),
        ("metering", "metering.ledger"),
        ("none", "ingest.api_keys"),
    ];
    for (service, url) in [
        ("ingest", &lease.access.ingest_url),
        ("executor", &lease.access.executor_url),
        ("collector", &lease.access.collector_url),
        ("metering", &lease.access.metering_url),
    ] {
        let (client, connection) =
            tokio_postgres::connect(&url.replace("DATABASE", "crownest"), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        for (owner, table) in tables {
            let allowed = client.query(&format!("select * from {table} limit 1"), &[]).await.is_ok();
            let owns = owner == service || (service == "ingest" && table.starts_with("ingest."));
            assert_eq!(allowed, owns, "{service} reads {table}");
        }
        let claim =
            client.query("select * from ingest.claim_run('wsr_x', 'exe_x', 'sbx_x', 'cmd_x', false, 3)", &[]).await;
        assert_eq!(claim.is_ok(), service == "executor", "{service} claims");
    }
}

/// Everything that a service calls without owning it; ingest has more than twenty, which `schema/` lists.
const CALLABLE: [(&str, &[&str]); 3] = [
    ("executor", &["ingest.attempts_to_stop", "ingest.claim_run"]),
    (
        "collector",
        &[
            "collector.is_held",
            "collector.lead",
            "collector.respect_legal_holds",
            "ingest.advance_runs",
            "ingest.end_runs",
            "ingest.fence_run",
            "ingest.runs_to_seal",
            "metering.plan_of",
        ],
    ),
    (
        "metering",
        &[
            "metering.budget_is_spent",
            "metering.concurrency_limit",
            "metering.free_slots",
            "metering.lock_organization",
            "metering.period_end",
            "metering.period_of",
        ],
    ),
];

#[tokio::test]
async fn no_function_is_everybodys_whoever_makes_it() {
    let stack = Stack::with(Options { executor: false, collector: false, metering: false, ..Options::default() }).await;
    let admin = stack.admin.get().await.unwrap();
    let open = async || {
        let sql = "select oid::regprocedure::text from pg_proc
            where pronamespace in ('ingest'::regnamespace, 'collector'::regnamespace, 'metering'::regnamespace)
                and has_function_privilege('nobody_' || current_database(), oid, 'execute') order by 1";
        admin.query(sql, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    let name: String = admin.query_one("select current_database()::text", &[]).await.unwrap().get(0);
    admin.batch_execute(&format!("create role nobody_{name}")).await.unwrap();
    assert_eq!(open().await, [""; 0]);
    // Another administrator, whom the default privileges of the first one do not bind, makes a later function.
    let other = format!(
        "create role other_{name} superuser login password 'other'; set role other_{name};
        create function collector.later() returns int language sql return 1; reset role"
    );
    admin.batch_execute(&other).await.unwrap();
    assert_eq!(open().await, ["collector.later()"]);
    let url = stack.admin_url();
    let (_, place) = url.split_once('@').unwrap();
    database::migrate(&Secret::new(format!("postgres://other_{name}:other@{place}"))).await.unwrap();
    assert_eq!(open().await, [""; 0]);
    for (service, expected) in CALLABLE {
        let sql = "select pronamespace::regnamespace::text || '.' || proname from pg_proc
            where pronamespace in ('ingest'::regnamespace, 'collector'::regnamespace, 'metering'::regnamespace)
                and has_function_privilege('crownest_' || $1::text, oid, 'execute') order by 1";
        let rows = admin.query(sql, &[&service]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), expected, "{service}");
    }
    let gone = format!("drop owned by other_{name}; drop role other_{name}; drop role nobody_{name}");
    admin.batch_execute(&gone).await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_version_is_refused_with_what_to_do() {
    let stack = Stack::with(Options { executor: false, collector: false, metering: false, ..Options::default() }).await;
    let client = stack.admin.get().await.unwrap();
    let refused = async |history: &str| {
        client.batch_execute(history).await.unwrap();
        database::migrate(&Secret::new(stack.admin_url())).await.unwrap_err().to_string()
    };
    database::migrate(&Secret::new(stack.admin_url())).await.unwrap();
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum)
        values (999, 'the_future', '2026-01-01T00:00:00Z', '1')";
    let message = refused(newer).await;
    assert!(message.contains("expected migration none, found V999__the_future"), "{message}");
    let other = "update refinery_schema_history set name = 'ingest_tables' where version = 2";
    let message = refused(other).await;
    assert!(message.contains("expected migration V2__ingest, found V2__ingest_tables"), "{message}");
    assert!(message.contains("start with an empty database"), "{message}");
}

#[tokio::test]
async fn the_period_is_a_calendar_month() {
    let lease = tokio::task::spawn_blocking(Lease::take).await.unwrap();
    let url = lease.access.metering_url.replace("DATABASE", "crownest");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    for (at, period, end) in [
        ("2026-01-31T23:59:59.999Z", "2026-01-01", "2026-02-01T00:00:00.000Z"),
        ("2026-02-01T00:00:00Z", "2026-02-01", "2026-03-01T00:00:00.000Z"),
        ("2026-12-05T10:00:00+14:00", "2026-12-01", "2027-01-01T00:00:00.000Z"),
        ("2026-12-01T10:00:00+14:00", "2026-11-01", "2026-12-01T00:00:00.000Z"),
    ] {
        let sql = "select period::text, metering.period_end(period)
                   from metering.period_of($1::text::timestamptz) as period";
        let row = client.query_one(sql, &[&at]).await.unwrap();
        let ends = schemas::Timestamp::from(row.get::<_, time::OffsetDateTime>(1)).to_string();
        assert_eq!((row.get::<_, &str>(0), ends.as_str()), (period, end), "{at}");
    }
}
