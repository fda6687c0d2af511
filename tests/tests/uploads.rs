//! Uploads of archives, by both paths.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Archive, Client, Crownest, Options, Stack, archive};

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

    // The organization has the archive: the next run needs no bytes.
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
    // A client that has not sent the bytes does not learn that others have.
    let scopes = [schemas::scope::Scope::WorkspaceRunCreate];
    let limited = stack.client_with(&scopes, Some(vec![stack.project.clone()])).await;
    for other in [stack.stranger().await, limited] {
        assert_eq!(other.submit_declared(request.clone(), &archive).await["status"], "awaiting_archive");
    }
}

/// Sends bytes straight to the store, exactly as the transfer says.
async fn put_into_store(transfer: &Value, bytes: &[u8]) -> u16 {
    let mut request = reqwest::Client::new().put(transfer["uploadUrl"].as_str().expect("a URL")).body(bytes.to_vec());
    for (name, value) in transfer["headers"].as_object().expect("headers") {
        request = request.header(name, value.as_str().expect("text"));
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_transfer_straight_into_the_store_is_verified_before_it_counts() {
    let ingest_flags = ["--transfer-endpoint", "STORE_ENDPOINT"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { ingest_flags, ..Default::default() }).await;
    let client = stack.client();
    let archive = archive(&[("a", "direct\n")]);
    let run = client.create(json!({"command": "cat a"})).await;
    let staged = transfer(&client, &run, &archive).await;
    let url = staged["uploadUrl"].as_str().unwrap();
    assert!(url.starts_with(stack.store_endpoint()), "{url}");
    assert!(!url.contains(stack.key()));
    let body = json!({"sha256": archive.sha256, "sizeBytes": archive.bytes.len(), "uploadId": staged["id"]});
    let path = format!("/v1/workspace-runs/{run}/archive/finalize");
    assert_eq!(client.post(&path, &body).await.error(409), "upload_incomplete");

    // The signature covers the size; CrowNest checks the digest.
    assert_eq!(put_into_store(&staged, &[&archive.bytes[..], b"more"].concat()).await, 403);
    let mut tampered = archive.bytes.clone();
    *tampered.last_mut().unwrap() ^= 1;
    assert_eq!(put_into_store(&staged, &tampered).await, 200);
    assert_eq!(client.post(&path, &body).await.error(400), "upload_checksum_mismatch");
    assert_eq!(client.post(&path, &body).await.error(409), "upload_incomplete", "what was wrong is gone");
    let staging_key = format!("uploads/{}/{}", stack.org, staged["id"].as_str().unwrap());
    assert_eq!(stack.store.size(&staging_key).await.unwrap(), None);

    let again = transfer(&client, &run, &archive).await;
    assert_eq!((&again["id"], &again["status"]), (&staged["id"], &json!("pending")), "asking again resumes");
    assert_eq!(put_into_store(&again, &archive.bytes).await, 200);
    let done = client.post(&path, &body).await.expect(200);
    assert_eq!(done["workspaceRun"]["status"], "archive_uploaded");
    assert_eq!(stack.store.size(&staging_key).await.unwrap(), None);
    client.post(&path, &body).await.expect(200);
    client.start(&run).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
    // A URL that still works changes nothing any more: the run has the verified bytes.
    assert_eq!(put_into_store(&again, &tampered).await, 200);
    let next = client.create(json!({"command": "cat a"})).await;
    assert_eq!(transfer(&client, &next, &archive).await["status"], "finalized");

    // The command line does the same, and does not send its key to the store.
    let blob = {
        let mut state = 7u64;
        (0..9_000_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            })
            .collect::<Vec<u8>>()
    };
    let large = testkit::archive(&[("blob", &blob)]);
    let file = stack.folder.path().join("large.tgz");
    std::fs::write(&file, &large.bytes).unwrap();
    let crownest = Crownest::of(&stack);
    let args = ["workspace-runs", "run-archive", file.to_str().unwrap(), "--", "wc -c < blob"];
    assert_eq!(crownest.run(args).await.expect(0).text(), "9000000\n");
}
