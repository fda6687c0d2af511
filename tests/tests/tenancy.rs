//! Rights of organizations, projects, scopes and keys; and idempotency.

use futures_util::future::join_all;
use reqwest::Method;
use schemas::scope::Scope;
use serde_json::json;
use testkit::{Client, Stack, archive, eventually};

#[tokio::test]
async fn another_organization_sees_nothing() {
    let stack = Stack::start().await;
    let client = stack.client();
    let body = json!({"command": "echo secret > a", "artifacts": [{"path": "a"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    let artifact = ended["artifactIds"][0].as_str().unwrap();

    let stranger = stack.stranger().await;
    for path in [
        format!("/v1/workspace-runs/{run}"),
        format!("/v1/workspace-runs/{run}/events"),
        format!("/v1/workspace-runs/{run}/events?stream=true"),
        format!("/v1/workspace-runs/{run}/evidence"),
        format!("/v1/artifacts/{artifact}"),
        format!("/v1/artifacts/{artifact}/download"),
    ] {
        assert_eq!(stranger.get(&path).await.error(404), "not_found", "{path}");
    }
    for path in [format!("/v1/workspace-runs/{run}/cancel"), format!("/v1/workspace-runs/{run}/start")] {
        assert_eq!(stranger.post(&path, &json!({})).await.error(404), "not_found", "{path}");
    }
    assert_eq!(stranger.delete(&format!("/v1/artifacts/{artifact}")).await.error(404), "not_found");
    assert_eq!(stranger.get("/v1/workspace-runs").await.expect(200)["data"], json!([]));
    let body = json!({"command": "true", "projectId": stack.project.as_str()});
    assert_eq!(stranger.post("/v1/workspace-runs", &body).await.error(404), "not_found");
    assert_eq!(client.get("/v1/workspace-runs").await.expect(200)["data"][0]["id"], json!(run));
}

#[tokio::test]
async fn keys_are_checked_and_scopes_enforced() {
    let stack = Stack::start().await;
    for (key, code) in [("", "unauthorized"), ("cn_live_wrong", "invalid_api_key"), ("nonsense", "invalid_api_key")] {
        let answer = Client::new(&stack.api_url, key).get("/v1/projects").await;
        let found = answer.error(401);
        assert!(found == code || (key.is_empty() && found == "invalid_api_key"), "{key:?}: {found}");
    }
    let reader = stack.client_with(&[Scope::WorkspaceRunRead], None).await;
    assert_eq!(reader.post("/v1/workspace-runs", &json!({"command": "true"})).await.error(403), "forbidden");
    reader.get("/v1/workspace-runs").await.expect(200);
    let creator = stack.client_with(&[Scope::WorkspaceRunCreate], None).await;
    let body = json!({"command": "true", "artifacts": [{"path": "a"}]});
    assert_eq!(creator.post("/v1/workspace-runs", &body).await.error(403), "forbidden");
    creator.post("/v1/workspace-runs", &json!({"command": "true"})).await.expect(201);

    let client = stack.client();
    let made = client.post("/v1/projects", &json!({"name": "second"})).await.expect(201);
    let second = made["project"]["id"].as_str().unwrap().parse().unwrap();
    let limited = stack.client_with(Scope::ALL, Some(vec![second])).await;
    let run = limited.create(json!({"command": "true"})).await;
    assert_eq!(client.run(&run).await["projectId"], made["project"]["id"], "the key's only project");
    let body = json!({"command": "true", "projectId": stack.project.as_str()});
    assert_eq!(limited.post("/v1/workspace-runs", &body).await.error(404), "not_found");
    let other = client.create(json!({"command": "true"})).await;
    assert_eq!(limited.get(&format!("/v1/workspace-runs/{other}")).await.error(404), "not_found");
}

#[tokio::test]
async fn one_idempotency_key_makes_one_run() {
    let stack = Stack::start().await;
    let client = stack.client();
    let body = json!({"command": "true", "metadata": {"n": "1"}});
    let send = || async {
        let request = client.request(Method::POST, "/v1/workspace-runs").header("idempotency-key", "once").json(&body);
        client.send(request).await
    };
    let answers = join_all((0..50).map(|_| send())).await;
    let mut ids = Vec::new();
    for answer in answers {
        match answer.status.as_u16() {
            201 => ids.push(answer.body["workspaceRun"]["id"].clone()),
            _ => assert_eq!(answer.error(409), "idempotency_request_in_progress"),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let again = send().await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(201)["workspaceRun"]["id"], ids[0]);
    assert_eq!(client.get("/v1/workspace-runs").await.expect(200)["data"].as_array().unwrap().len(), 1);
    let other = client
        .request(Method::POST, "/v1/workspace-runs")
        .header("idempotency-key", "once")
        .json(&json!({"command": "false"}));
    assert_eq!(client.send(other).await.error(409), "idempotency_key_reused");
}

#[tokio::test]
async fn a_crash_between_commit_and_answer_does_nothing_twice() {
    let stack = Stack::start().await;
    let client = stack.client();
    for round in 0..8u64 {
        let (mut ingest, url) = stack.spawn_ingest();
        let doomed = Client::new(&url, stack.key());
        eventually("the doomed ingest serves", async || {
            let answer = doomed.request(Method::GET, "/healthz").send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        let body = json!({"command": "true", "metadata": {"round": round.to_string()}});
        let request = |client: &Client| {
            let request = client.request(Method::POST, "/v1/workspace-runs").json(&body);
            request.header("idempotency-key", format!("crash-{round}"))
        };
        // Killed at any time within the request, which takes some milliseconds.
        let asked = tokio::spawn(request(&doomed).send());
        tokio::time::sleep(std::time::Duration::from_millis(round * 3)).await;
        ingest.kill().await;
        let told = asked.await.unwrap().ok();
        let again = eventually("the transaction of the killed one is over", async || {
            let answer = client.send(request(&client)).await;
            (answer.status != 409).then_some(answer)
        })
        .await
        .expect(201);
        if let Some(told) = told {
            let told: serde_json::Value = told.json().await.unwrap_or_default();
            assert!(told.is_null() || told == again, "one answer: {told} and {again}");
        }
        let runs = client.get(&format!("/v1/workspace-runs?metadata.round={round}")).await.expect(200);
        assert_eq!(runs["data"].as_array().unwrap().len(), 1, "one run, whenever it was killed");
    }
}

#[tokio::test]
async fn an_upload_that_is_repeated_is_answered_from_memory() {
    let stack = Stack::start().await;
    let client = stack.client();
    let archive = archive(&[("a", "1")]);
    let run = client.create(json!({"command": "true"})).await;
    let upload = |archive: &testkit::Archive| client.upload_request(&run, archive).header("idempotency-key", "upload");
    let first = client.send(upload(&archive)).await;
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let first = first.expect(200);
    client.start(&run).await;
    client.wait_terminal(&run).await;
    let again = client.send(upload(&archive)).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(200), first, "as it was, though the run has ended");
    let other = testkit::archive(&[("a", "2")]);
    assert_eq!(client.send(upload(&other)).await.error(409), "idempotency_key_reused");
}

#[tokio::test]
async fn what_is_said_twice_is_refused() {
    let stack = Stack::start().await;
    let client = stack.client();
    let twice = client.request(Method::GET, "/v1/projects").header("authorization", "Bearer cn_live_other");
    assert_eq!(client.send(twice).await.error(401), "unauthorized");
    let request = client.request(Method::POST, "/v1/projects").json(&json!({"name": "x"}));
    let twice = request.header("idempotency-key", "a").header("idempotency-key", "b");
    assert_eq!(client.send(twice).await.error(400), "invalid_request");
}
