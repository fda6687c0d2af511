//! The API against its own OpenAPI document: every operation is there, and schemathesis finds nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use testkit::{Stack, archive, installed};
use tokio::process::Command;

const CONFIG: &str = include_str!("../schemathesis.toml");
const HOOKS: &str = include_str!("../schemathesis_hooks.py");
/// Long enough for thousands of requests on a machine that runs other tests, too.
const DEADLINE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn every_operation_is_there_and_wants_a_key_unless_it_is_public() {
    let stack = Stack::start().await;
    let document = stack.client().get("/openapi.json").await.expect(200);
    let keyless = testkit::Client::new(&stack.api_url, "");
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            if operation["security"] == json!([]) {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer =
                keyless.send(keyless.request(method.clone(), &path.replace("{id}", "x").replace("{part}", "0"))).await;
            assert!(answer.status == 401, "{method} {path}: {}", answer.status);
        }
    }
    assert_eq!(operations, 38);
    for (method, path) in [(Method::PATCH, "/v1/projects"), (Method::GET, "/v1/nothing"), (Method::POST, "/")] {
        let client = stack.client();
        assert_eq!(client.send(client.request(method, path)).await.error(404), "not_found", "{path}");
    }
}

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let stack = Stack::start().await;
    let client = stack.client();
    let body = json!({"command": "echo hello > a; cp a b", "artifacts": [{"path": "a"}, {"path": "b"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    let artifact = ended["artifactIds"][0].as_str().expect("the run has an artifact");
    let deleted = ended["artifactIds"][1].as_str().expect("and another one");
    client.delete(&format!("/v1/artifacts/{deleted}")).await.expect(200);
    testkit::eventually("it has a tombstone", async || {
        (client.get(&format!("/v1/artifacts/{deleted}/tombstone")).await.status == 200).then_some(())
    })
    .await;

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), CONFIG).unwrap();
    std::fs::write(folder.path().join("schemathesis_hooks.py"), HOOKS).unwrap();
    let tested = Command::new(installed("schemathesis"))
        .args(["run", &format!("{}/openapi.json", stack.api_url), "--no-color"])
        .current_dir(folder.path())
        .env("CROWNEST_API_URL", &stack.api_url)
        .env("CROWNEST_API_KEY", stack.key())
        .env("CROWNEST_RUN", &run)
        .env("CROWNEST_ARTIFACT", artifact)
        .env("CROWNEST_DELETED_ARTIFACT", deleted)
        .env("CROWNEST_TEMPLATE", "python-node")
        .kill_on_drop(true)
        .output();
    let tested = tokio::time::timeout(DEADLINE, tested).await.expect("schemathesis ends in time");
    let tested = tested.expect("schemathesis is installed: run `infra/setup.sh --test`");
    let report = String::from_utf8_lossy(&tested.stdout);
    assert!(tested.status.success(), "{report}{}", String::from_utf8_lossy(&tested.stderr));
    // The report has no findings although everything was tested.
    assert!(report.contains("Tested: 38"), "{report}");
}
