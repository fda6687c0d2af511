//! `crownest admin`: organizations and keys; revoked or dumped keys are worth nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Crownest, Stack, eventually};

fn admin(stack: &Stack) -> Crownest {
    Crownest::new().with("CROWNEST_ADMIN_DATABASE_URL", &stack.admin_url())
}

async fn run(crownest: &Crownest, args: &[&str]) -> Value {
    crownest.run([&["admin", "--json"], args].concat()).await.expect(0).data()
}

#[tokio::test]
async fn organizations_and_keys_are_made_here() {
    let stack = Stack::start().await;
    let crownest = admin(&stack);
    let org = run(&crownest, &["organizations", "create", "Example Inc", "--plan", "builder"]).await;
    let (id, project) = (org["id"].as_str().unwrap(), org["defaultProjectId"].as_str().unwrap());
    let listed = run(&crownest, &["orgs", "list"]).await;
    assert_eq!((&listed[0]["name"], &listed[0]["plan"]), (&json!("Example Inc"), &json!("builder")));
    assert_eq!(run(&crownest, &["orgs", "set-plan", id, "scale"]).await["plan"], "scale");

    let args = ["keys", "create", id, "--name", "reader", "--scope", "workspace_run:read", "--project", project];
    let made = run(&crownest, &args).await;
    let (key, secret) = (&made["apiKey"], made["secret"].as_str().unwrap());
    assert_eq!((&key["scopes"], &key["projectIds"]), (&json!(["workspace_run:read"]), &json!([project])));
    assert!(key.get("secret").is_none() && secret.ends_with(key["last4"].as_str().unwrap()));
    let client = Client::new(&stack.api_url, secret);
    client.get("/v1/workspace-runs").await.expect(200);
    assert_eq!(client.post("/v1/workspace-runs", &json!({"command": "true"})).await.error(403), "forbidden");
    let keys = run(&crownest, &["keys", "list", id]).await;
    assert!(!keys.to_string().contains(secret), "only shown once");

    for (args, code) in [
        (vec!["orgs", "create", "x", "--plan", "golden"], "invalid_request"),
        (vec!["orgs", "create", " \n"], "invalid_request"),
        (vec!["keys", "list", "org_none"], "not_found"),
        (vec!["keys", "create", "org_none", "--name", "x"], "not_found"),
        (vec!["keys", "create", id, "--name", "x", "--project", stack.project.as_str()], "not_found"),
        (vec!["keys", "revoke", "key_none"], "not_found"),
    ] {
        let refused = crownest.run([&["admin", "--json"], &args[..]].concat()).await.expect(1);
        let error: Value = serde_json::from_str(&refused.stderr).unwrap();
        assert_eq!(error["error"]["code"], code, "{args:?}: {error}");
    }
    let nowhere = Crownest::new().run(["admin", "--data", "/nonexistent", "orgs", "list"]).await.expect(1);
    assert!(nowhere.stderr.contains("no CrowNest runs on /nonexistent"), "{}", nowhere.stderr);
}

#[tokio::test]
async fn a_revoked_key_is_refused_everywhere_within_a_second() {
    let stack = Stack::start().await;
    let crownest = admin(&stack);
    let (_other, other_url) = stack.spawn_ingest();
    let made = run(&crownest, &["keys", "create", stack.org.as_str(), "--name", "leaked"]).await;
    let secret = made["secret"].as_str().unwrap();
    let clients = [Client::new(&stack.api_url, secret), Client::new(&other_url, secret)];
    eventually("the other ingest serves", async || {
        let request = clients[1].request(reqwest::Method::GET, "/healthz");
        request.send().await.ok().filter(|answer| answer.status().is_success())
    })
    .await;
    // Both services now remember the key.
    for client in &clients {
        client.get("/v1/projects").await.expect(200);
    }
    run(&crownest, &["keys", "revoke", made["apiKey"]["id"].as_str().unwrap()]).await;
    let revoked = Instant::now();
    for client in &clients {
        eventually("the key is refused", async || {
            let asked = Instant::now();
            let answer = client.get("/v1/projects").await;
            if answer.status == 401 {
                return Some(answer.error(401)).filter(|code| code == "invalid_api_key");
            }
            // A second after the revocation was durable no request may pass any more.
            assert!(asked.duration_since(revoked) < Duration::from_secs(1), "still accepted");
            None
        })
        .await;
    }
}

#[tokio::test]
async fn a_dump_of_the_database_has_no_usable_key() {
    let stack = Stack::start().await;
    stack.client().get("/v1/projects").await.expect(200);
    let database = stack.admin.get().await.unwrap();
    let secret = stack.key();
    let random = &secret["cn_live_".len()..];
    let tables = "select table_schema, table_name from information_schema.tables
        where table_schema in ('ingest', 'collector', 'metering') and table_type = 'BASE TABLE'";
    let mut looked = 0;
    for table in database.query(tables, &[]).await.unwrap() {
        let (schema, table): (String, String) = (table.get(0), table.get(1));
        let sql = format!("select count(*) from {schema}.{table} as row where row::text like '%' || $1 || '%'");
        let found: i64 = database.query_one(&sql, &[&&random[8..24]]).await.unwrap().get(0);
        assert_eq!(found, 0, "{schema}.{table} has the key");
        looked += 1;
    }
    assert!(looked > 10, "{looked} tables");
}
