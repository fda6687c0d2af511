//! Archives on their way in, by both paths.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Archive, Client, Stack, archive};

#[tokio::test]
async fn a_direct_upload_is_verified() {
    let stack = Stack::start().await;
    let client = stack.client();
    let good = archive(&[("a", "1")]);
    let run = client.create(json!({"command": "cat a"})).await;
    let wrong = Archive { sha256: archive(&[("a", "2")]).sha256, ..good.clone() };
    assert_eq!(client.upload(&run, &wrong).await.error(400), "upload_checksum_mismatch");
    let short = Archive { bytes: good.bytes[..good.bytes.len() - 1].to_vec(), sha256: good.sha256.clone() };
    assert_eq!(client.upload(&run, &short).await.error(400), "upload_checksum_mismatch");
    let no_digest = client.upload_request(&run, &Archive { sha256: "zz".to_owned(), ..good.clone() });
    assert_eq!(client.send(no_digest).await.error(400), "invalid_request");
    assert_eq!(stack.store.size(&format!("archives/{}/{}.tgz", stack.org, wrong.sha256)).await.unwrap(), None);
    let answer = client.upload(&run, &good).await.expect(200);
    assert_eq!(answer["archive"]["sha256"], json!(good.sha256));
    assert_eq!(answer["workspaceRun"]["status"], "archive_uploaded");
    client.upload(&run, &good).await.expect(200);
    assert_eq!(client.upload(&run, &archive(&[("b", "")])).await.error(409), "upload_conflict");
}

async fn transfer(client: &Client, run: &str, archive: &Archive) -> Value {
    let body = json!({"sha256": archive.sha256, "sizeBytes": archive.bytes.len()});
    client.post(&format!("/v1/workspace-runs/{run}/archive-transfer"), &body).await.expect(201)["transfer"].clone()
}

async fn put(client: &Client, transfer: &Value, bytes: &[u8]) -> testkit::Answer {
    let mut request = client.request(Method::PUT, transfer["uploadUrl"].as_str().expect("a URL")).body(bytes.to_vec());
    for (name, value) in transfer["headers"].as_object().expect("headers") {
        request = request.header(name, value.as_str().expect("text"));
    }
    client.send(request).await
}

#[tokio::test]
async fn a_staged_transfer_is_verified_and_runs() {
    let stack = Stack::start().await;
    let client = stack.client();
    let archive = archive(&[("a", "staged\n")]);
    let run = client.create(json!({"command": "cat a"})).await;
    let staged = transfer(&client, &run, &archive).await;
    assert_eq!((&staged["status"], &staged["checksumAlgorithm"]), (&json!("pending"), &json!("sha256")));
    assert_eq!(transfer(&client, &run, &archive).await["id"], staged["id"], "asking again resumes");
    let finalize = |id: Value| json!({"sha256": archive.sha256, "sizeBytes": archive.bytes.len(), "uploadId": id});
    let path = format!("/v1/workspace-runs/{run}/archive/finalize");
    assert_eq!(client.post(&path, &finalize(staged["id"].clone())).await.error(409), "upload_incomplete");
    assert_eq!(client.post(&path, &finalize(json!("upl_unknown"))).await.error(404), "upload_not_found");
    let mut tampered = archive.bytes.clone();
    *tampered.last_mut().unwrap() ^= 1;
    assert!(put(&client, &staged, &tampered).await.status.is_client_error());
    let status = put(&client, &staged, &archive.bytes).await.status.as_u16();
    assert!(status == 200 || status == 204, "{status}");
    let done = client.post(&path, &finalize(staged["id"].clone())).await.expect(200);
    assert_eq!(done["workspaceRun"]["status"], "archive_uploaded");
    client.start(&run).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");

    // The organization has it: the next run needs no bytes.
    let run = client.create(json!({"command": "cat a"})).await;
    let known = transfer(&client, &run, &archive).await;
    assert_eq!(known["status"], "finalized");
    let path = format!("/v1/workspace-runs/{run}/archive/finalize");
    client.post(&path, &finalize(known["id"].clone())).await.expect(200);
    client.start(&run).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
}

#[tokio::test]
async fn a_known_archive_needs_no_upload_and_starts_at_once() {
    let stack = Stack::start().await;
    let client = stack.client();
    let archive = archive(&[("a", "known\n")]);
    let request = json!({"command": "cat a"});
    let first = client.submit_declared(request.clone(), &archive).await;
    assert_eq!(first["status"], "awaiting_archive", "nobody has sent it yet: {first}");
    let first = first["id"].as_str().unwrap().to_owned();
    client.upload(&first, &archive).await.expect(200);
    client.start(&first).await;

    let second = client.submit_declared(request.clone(), &archive).await;
    assert_eq!(second["status"], "starting", "{second}");
    assert_eq!(second["archive"]["sha256"], json!(archive.sha256));
    let second = second["id"].as_str().unwrap();
    assert_eq!(client.wait_terminal(second).await["status"], "succeeded");
    assert_eq!(client.evidence(second).await["archive"]["sha256"], json!(archive.sha256));

    let declared = json!({"sha256": archive.sha256, "sizeBytes": archive.bytes.len()});
    let body = json!({"command": "cat a", "archive": declared});
    let waiting = client.post("/v1/workspace-runs", &body).await.expect(201);
    assert_eq!(waiting["workspaceRun"]["status"], "archive_uploaded", "not started unless asked");
    // Whoever has not sent the bytes learns nothing about who else has.
    let scopes = [schemas::scope::Scope::WorkspaceRunCreate];
    let limited = stack.client_with(&scopes, Some(vec![stack.project.clone()])).await;
    for other in [stack.stranger().await, limited] {
        assert_eq!(other.submit_declared(request.clone(), &archive).await["status"], "awaiting_archive");
    }
}
