//! Locks: what everybody needs is locked where the services' logins cannot reach it.

use serde_json::json;
use testkit::{Crownest, Options, Stack, archive, eventually};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

async fn login(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn a_login_with_every_advisory_lock_stops_no_seal_no_hold_and_no_log() {
    let stack = Stack::with(Options { collector: false, ..Default::default() }).await;
    let executor = login(&stack.executor_url()).await;
    let locks = "select pg_advisory_lock(key) from unnest(array[7401, 7403, 7404, 8390876182755697010,
                     8097879436615316595]::int8[]) as key";
    executor.batch_execute(locks).await.unwrap();
    for table in ["collector.locks", "collector.leaders"] {
        let refused = executor.execute(&format!("select from {table} for update"), &[]).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{table}");
    }
    let _collector = stack.spawn_collector();
    let client = stack.client();
    let run = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
    let set = ["admin", "legal-hold", "set", &run, "--reason", "a case"];
    Crownest::admin(&stack).run(set).await.expect(0);
    let again = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    assert_eq!(client.wait_terminal(&again).await["status"], "succeeded");
    eventually("both runs are in the evidence log", async || {
        let answer = client.get(&format!("/v1/workspace-runs/{again}/evidence/inclusion")).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_leads_until_it_ends() {
    let stack = Stack::with(Options { collector: false, executor: false, metering: false, ..Default::default() }).await;
    let sql =
        "select collector.lead('tables', (select backend_start from pg_stat_activity where pid = pg_backend_pid()))";
    let leads = async |client: &Client| client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0);
    let (one, two) = (login(&stack.collector_url()).await, login(&stack.collector_url()).await);
    assert!(leads(&one).await && leads(&one).await);
    assert!(!leads(&two).await);
    let database = stack.admin.get().await.unwrap();
    // Whatever another session had the process id before, it does not lead.
    for change in ["session_started = session_started - interval '1 s'", "server_started = 'epoch'", "login = 'nobody'"]
    {
        database.execute(&format!("update collector.leaders set {change} where name = 'tables'"), &[]).await.unwrap();
        assert!(leads(&two).await, "{change}");
        assert!(!leads(&one).await, "{change}");
        database.execute("update collector.leaders set pid = null where name = 'tables'", &[]).await.unwrap();
        assert!(leads(&one).await && !leads(&two).await);
    }
    drop(one);
    eventually("the next session leads", async || leads(&two).await.then_some(())).await;
}
