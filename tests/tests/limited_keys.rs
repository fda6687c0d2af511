//! A key that is limited to projects, against every operation of the API: nothing outside its bounds is read or changed.

use reqwest::Method;
use schemas::scope::Scope;
use serde_json::{Value, json};
use testkit::{Answer, Client, Options, Stack, archive, eventually};

/// What becomes of a request about things outside the bounds of the key.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// As if they did not exist.
    Hidden,
    /// Known to be impossible for such a key, before anything is looked for.
    Forbidden,
    /// Answered, without anything of them.
    Without,
    /// For everybody: it has nothing of an organization.
    Public,
}
use Expected::{Forbidden, Hidden, Public, Without};

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// Everything that there is outside the bounds of the limited key.
struct Foreign {
    project: String,
    run: String,
    open_run: String,
    artifact: String,
    deleted: String,
    sandbox: String,
    upload: String,
    webhooks: [String; 2],
    delivery: String,
    keys: Vec<String>,
}

impl Foreign {
    async fn make(stack: &Stack, client: &Client) -> Self {
        let project = stack.project.to_string();
        // Nobody listens there.
        let hook = json!({"url": "http://127.0.0.1:9/", "projectId": project});
        let of_project = client.post("/v1/webhooks", &hook).await.expect(201);
        let of_all = client.post("/v1/webhooks", &json!({"url": "http://127.0.0.1:9/"})).await.expect(201);
        let body = json!({"command": "echo 1 > a; cp a b", "artifacts": [{"path": "a"}, {"path": "b"}]});
        let run = client.submit(body, &archive(&[("x", "foreign")])).await;
        let ended = client.wait_terminal(&run).await;
        let artifacts: Vec<String> = ended["artifactIds"].as_array().unwrap().iter().map(text).collect();
        client.delete(&format!("/v1/artifacts/{}", artifacts[1])).await.expect(200);
        let open_run = client.create(json!({"command": "true"})).await;
        let declared = json!({"sha256": "ab".repeat(32), "sizeBytes": 5});
        let path = format!("/v1/workspace-runs/{open_run}/archive-transfer");
        let upload = client.post(&path, &declared).await.expect(201);
        let webhook = text(&of_project["webhook"]["id"]);
        let delivery = eventually("a message to the foreign webhook", async || {
            let found = client.get(&format!("/v1/webhooks/{webhook}/deliveries")).await.expect(200);
            found["data"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        let keys = client.get("/v1/api-keys").await.expect(200);
        Self {
            project,
            open_run,
            artifact: artifacts[0].clone(),
            deleted: artifacts[1].clone(),
            sandbox: text(&ended["sandboxId"]),
            upload: text(&upload["transfer"]["id"]),
            webhooks: [webhook, text(&of_all["webhook"]["id"])],
            delivery,
            keys: keys["data"].as_array().unwrap().iter().map(|key| text(&key["id"])).collect(),
            run,
        }
    }

    fn ids(&self) -> Vec<&String> {
        let all =
            [&self.project, &self.run, &self.open_run, &self.artifact, &self.deleted, &self.sandbox, &self.upload];
        all.into_iter().chain(&self.webhooks).chain([&self.delivery]).chain(&self.keys).collect()
    }

    /// Each operation by its id, with the path below `/v1` where it has one.
    fn requests(&self) -> Vec<(&'static str, Method, String, Value, Expected)> {
        let Self { project, run, open_run, artifact, deleted, sandbox, upload, webhooks, delivery, keys } = self;
        let run = |rest: &str| format!("/v1/workspace-runs/{run}{rest}");
        let open = |rest: &str| format!("/v1/workspace-runs/{open_run}{rest}");
        let (none, get, post) = (Value::Null, Method::GET, Method::POST);
        let declared = json!({"sha256": "ab".repeat(32), "sizeBytes": 5, "uploadId": upload});
        let mut requests = vec![
            ("getPublicKeys", get.clone(), "/.well-known/jwks.json".to_owned(), none.clone(), Public),
            ("getLogCheckpoint", get.clone(), "/tlog/checkpoint".to_owned(), none.clone(), Public),
            ("getLogEntries", get.clone(), "/tlog/tile/entries/000".to_owned(), none.clone(), Public),
            ("getLogTile", get.clone(), "/tlog/tile/0/000".to_owned(), none.clone(), Public),
            ("listTemplates", get.clone(), "/v1/templates".to_owned(), none.clone(), Public),
            ("getTemplate", get.clone(), "/v1/templates/python-node".to_owned(), none.clone(), Public),
            ("listApiKeys", get.clone(), "/v1/api-keys".to_owned(), none.clone(), Without),
            ("listProjects", get.clone(), "/v1/projects".to_owned(), none.clone(), Without),
            ("createProject", post.clone(), "/v1/projects".to_owned(), json!({"name": "x"}), Forbidden),
            ("getUsage", get.clone(), "/v1/usage".to_owned(), none.clone(), Without),
            ("listWebhooks", get.clone(), "/v1/webhooks".to_owned(), none.clone(), Without),
            (
                "createWebhook",
                post.clone(),
                "/v1/webhooks".to_owned(),
                json!({"url": "https://example.com"}),
                Forbidden,
            ),
            (
                "createWebhook",
                post.clone(),
                "/v1/webhooks".to_owned(),
                json!({"url": "https://example.com", "projectId": project}),
                Hidden,
            ),
            ("listWorkspaceRuns", get.clone(), "/v1/workspace-runs".to_owned(), none.clone(), Without),
            ("listWorkspaceRuns", get.clone(), format!("/v1/workspace-runs?projectId={project}"), none.clone(), Hidden),
            (
                "createWorkspaceRun",
                post.clone(),
                "/v1/workspace-runs".to_owned(),
                json!({"command": "true", "projectId": project}),
                Hidden,
            ),
            ("getWorkspaceRun", get.clone(), run(""), none.clone(), Hidden),
            ("getWorkspaceRun", get.clone(), open("?wait=1"), none.clone(), Hidden),
            ("uploadArchive", Method::PUT, open("/archive"), none.clone(), Hidden),
            ("createArchiveTransfer", post.clone(), open("/archive-transfer"), declared.clone(), Hidden),
            ("putStagedArchive", Method::PUT, format!("/v1/uploads/{upload}"), none.clone(), Hidden),
            ("finalizeArchive", post.clone(), open("/archive/finalize"), declared, Hidden),
            ("startWorkspaceRun", post.clone(), open("/start"), json!({}), Hidden),
            ("cancelWorkspaceRun", post.clone(), open("/cancel"), json!({}), Hidden),
            ("listEvents", get.clone(), run("/events"), none.clone(), Hidden),
            ("listEvents", get.clone(), run("/events?stream=true"), none.clone(), Hidden),
            ("getEvidence", get.clone(), run("/evidence"), none.clone(), Hidden),
            ("listAttestations", get.clone(), run("/attestations"), none.clone(), Hidden),
            ("getEvidenceInclusion", get.clone(), run("/evidence/inclusion"), none.clone(), Hidden),
            ("downloadEventLogPart", get.clone(), run("/evidence/event-log/0"), none.clone(), Hidden),
            ("listArtifacts", get.clone(), format!("/v1/sandboxes/{sandbox}/artifacts"), none.clone(), Hidden),
            ("getArtifact", get.clone(), format!("/v1/artifacts/{artifact}"), none.clone(), Hidden),
            ("deleteArtifact", Method::DELETE, format!("/v1/artifacts/{artifact}"), none.clone(), Hidden),
            ("createDownloadUrl", post.clone(), format!("/v1/artifacts/{artifact}/download-url"), json!({}), Hidden),
            ("downloadArtifact", get.clone(), format!("/v1/artifacts/{artifact}/download"), none.clone(), Hidden),
            ("getTombstone", get.clone(), format!("/v1/artifacts/{deleted}/tombstone"), none.clone(), Hidden),
            ("redeliver", post, format!("/v1/webhook-deliveries/{delivery}/redeliver"), json!({}), Hidden),
        ];
        for webhook in webhooks {
            let path = format!("/v1/webhooks/{webhook}");
            requests.push(("listDeliveries", get.clone(), format!("{path}/deliveries"), none.clone(), Hidden));
            requests.push(("getWebhook", get.clone(), path.clone(), none.clone(), Hidden));
            requests.push(("deleteWebhook", Method::DELETE, path, none.clone(), Hidden));
        }
        for key in keys {
            requests.push(("getApiKey", get.clone(), format!("/v1/api-keys/{key}"), none.clone(), Hidden));
            requests.push(("revokeApiKey", Method::DELETE, format!("/v1/api-keys/{key}"), none.clone(), Hidden));
        }
        requests
    }
}

async fn send(client: &Client, method: &Method, path: &str, body: &Value) -> Answer {
    let request = client.request(method.clone(), path);
    let request = if *method == Method::PUT {
        let request = request.header("x-crownest-archive-sha256", "ab".repeat(32));
        request.header("x-crownest-archive-size", 5).body("bytes")
    } else if body.is_null() {
        request
    } else {
        request.json(body)
    };
    client.send(request).await
}

#[tokio::test]
async fn every_operation_keeps_within_the_bounds_of_the_key() {
    let ingest_flags = vec!["--webhook-allow=127.0.0.0/8".to_owned()];
    let stack = Stack::with(Options { ingest_flags, ..Default::default() }).await;
    let client = stack.client();
    // Keys that no limited key could make: of all projects, and of another one.
    stack.client_with(&[Scope::WorkspaceRunRead], None).await;
    stack.client_with(&[Scope::WorkspaceRunRead], Some(vec![stack.project.clone()])).await;
    let foreign = Foreign::make(&stack, &client).await;
    let made = client.post("/v1/projects", &json!({"name": "its own"})).await.expect(201);
    let own = text(&made["project"]["id"]);
    let limited = stack.client_with(Scope::ALL, Some(vec![own.parse().unwrap()])).await;
    let before = client.get("/v1/workspace-runs").await.expect(200);

    let requests = foreign.requests();
    for (operation, method, path, body, expected) in &requests {
        let answer = send(&limited, method, path, body).await;
        let shown = format!("{operation} {method} {path}: {} {}", answer.status, answer.body);
        match expected {
            Hidden => assert_eq!(answer.status, 404, "{shown}"),
            Forbidden => {
                assert_eq!(
                    (answer.status.as_u16(), &answer.body["error"]["code"]),
                    (403, &json!("forbidden")),
                    "{shown}"
                );
            }
            Without | Public => assert!([200, 404].contains(&answer.status.as_u16()), "{shown}"),
        }
        if !matches!(expected, Public) {
            // A refusal may say which archive was named; nothing else of the other projects is in an answer.
            let told = answer.body.to_string();
            assert!(foreign.ids().iter().all(|id| !told.contains(id.as_str())), "{shown}");
        }
    }
    let document = client.get("/openapi.json").await.expect(200);
    for methods in document["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(requests.iter().any(|(tried, ..)| *tried == id), "{id} is not tried with a limited key");
        }
    }

    // Nothing came of any request.
    assert_eq!(client.get("/v1/workspace-runs").await.expect(200), before);
    for key in &foreign.keys {
        let key = client.get(&format!("/v1/api-keys/{key}")).await.expect(200);
        assert!(key["apiKey"].get("revokedAt").is_none(), "{key}");
    }
    assert_eq!(client.get("/v1/projects").await.expect(200)["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_acts_on_keys_within_its_own_bounds() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let client = stack.client();
    let made = client.post("/v1/projects", &json!({"name": "its own"})).await.expect(201);
    let own = text(&made["project"]["id"]);
    let only = |project: &str| Some(vec![project.parse().unwrap()]);
    let keepers = [Scope::ApiKeyRead, Scope::ApiKeyRevoke, Scope::UsageRead];
    let more = [Scope::ApiKeyRead, Scope::ProjectCreate];
    for (scopes, projects) in [
        (&keepers[..], only(&own)),
        (&keepers[..1], only(&own)),
        (&more[..], only(&own)),
        (&keepers[..1], only(stack.project.as_str())),
        (&keepers[..1], None),
    ] {
        stack.client_with(scopes, projects).await;
    }
    let all = client.get("/v1/api-keys").await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 6, "a key without bounds sees each");
    // Newest first.
    let [unbounded, elsewhere, more, narrow, twin] = [0, 1, 2, 3, 4].map(|n| text(&all["data"][n]["id"]));

    let keeper = stack.client_with(&keepers, only(&own)).await;
    let seen = keeper.get("/v1/api-keys?limit=2").await.expect(200);
    assert_eq!((seen["data"].as_array().unwrap().len(), &seen["hasMore"]), (2, &json!(true)));
    let path = format!("/v1/api-keys?limit=2&cursor={}", text(&seen["nextCursor"]));
    let rest = keeper.get(&path).await.expect(200);
    assert_eq!(seen["data"][1]["id"], json!(narrow), "after the keeper itself");
    assert_eq!((&rest["data"][0]["id"], &rest["hasMore"]), (&json!(twin), &json!(false)));
    for foreign in [unbounded, elsewhere, more] {
        let path = format!("/v1/api-keys/{foreign}");
        assert_eq!(keeper.get(&path).await.error(404), "not_found");
        assert_eq!(keeper.delete(&path).await.error(404), "not_found");
    }
    let revoked = keeper.delete(&format!("/v1/api-keys/{narrow}")).await.expect(200);
    assert!(revoked["apiKey"]["revokedAt"].is_string());

    // Of the usage it sees what its projects used, and no limit of the organization.
    let database = stack.admin.get().await.unwrap();
    for (project, millis) in [(own.as_str(), 3_000i64), (stack.project.as_str(), 90_000)] {
        let sql = "insert into metering.totals (org_id, project_id, period, meter, quantity_millis)
            values ($1, $2, metering.period_of(now()), 'compute_unit_seconds', $3)";
        database.execute(sql, &[&stack.org.as_str(), &project, &millis]).await.unwrap();
    }
    let sql = "update metering.plans set concurrent_runs = 4, compute_unit_seconds_per_month = 1000";
    database.execute(sql, &[]).await.unwrap();
    let usage = keeper.get("/v1/usage").await.expect(200);
    assert_eq!((&usage["computeUnitSeconds"]["used"], &usage["quotas"]), (&json!(3.0), &json!({})));
    assert!(usage["credits"].get("remaining").is_none(), "{usage}");
    let usage = client.get("/v1/usage").await.expect(200);
    assert_eq!(usage["computeUnitSeconds"]["used"], json!(93.0));
    assert_eq!(usage["quotas"]["concurrent_sandboxes"]["limit"], json!(4.0));
}
