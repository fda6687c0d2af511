//! The published Python client works unmodified; `python_client.py` has its calls.

use serde_json::json;
use testkit::{DEADLINE, Stack, archive, installed};
use tokio::process::Command;

#[tokio::test]
async fn the_published_python_client_works_unmodified() {
    let stack = Stack::start().await;
    let client = stack.client();
    let body = json!({"command": "echo hello > a", "artifacts": [{"path": "a"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    let mut keys = Vec::new();
    let database = stack.admin.get().await.unwrap();
    for name in ["sync", "async", "nothing"] {
        let made = ingest::admin::create_key(&database, &stack.org, name, &[], None).await.unwrap();
        keys.push(made.0.id.to_string());
    }
    let tested = Command::new(installed("crownest-python-client"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python_client.py"))
        .env("CROWNEST_API_URL", &stack.api_url)
        .env("CROWNEST_API_KEY", stack.key())
        .env("SANDBOX", ended["sandboxId"].as_str().unwrap())
        .env("ARTIFACT", ended["artifactIds"][0].as_str().unwrap())
        .env("KEYS", keys.join(","))
        .kill_on_drop(true)
        .output();
    let tested = tokio::time::timeout(DEADLINE, tested).await.expect("it ends in time");
    let tested = tested.expect("the client is installed: run `infra/setup.sh --test`");
    let error = String::from_utf8_lossy(&tested.stderr);
    assert_eq!((tested.status.success(), &*tested.stdout), (true, &b"ok\n"[..]), "{error}");
}
