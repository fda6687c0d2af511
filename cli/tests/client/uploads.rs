//! Uploads: direct, staged, elsewhere, and again.

use serde_json::{Value, json};

use crate::command::Home;
use crate::run_api::{self, run};
use crate::server::{Reply, Request, Server};

const BIG_BYTES: usize = (8 << 20) + 1;

fn uploaded() -> Reply {
    Reply::Json(200, json!({"archive": {"sizeBytes": 1}, "workspaceRun": run("archive_uploaded")}))
}

fn transfer(status: &str, upload_url: &str) -> Value {
    json!({"transfer": {
        "id": "upl_1", "checksumAlgorithm": "sha256", "expiresAt": "2030-01-01T00:00:00.000Z",
        "headers": {"x-amz-checksum-sha256": "abc="}, "maxSizeBytes": 100_000_000, "method": "PUT",
        "status": status, "uploadUrl": upload_url, "workspaceRunId": "wsr_1",
    }})
}

/// An API whose transfers go to `upload_url`.
fn api(status: &'static str, upload_url: String) -> Server {
    Server::start(move |request: &Request, _| match request.route().as_str() {
        "POST /v1/workspace-runs/wsr_1/archive-transfer" => Reply::Json(201, transfer(status, &upload_url)),
        "POST /v1/workspace-runs/wsr_1/archive/finalize" => uploaded(),
        "PUT /staged" => Reply::Bytes(204, vec![], vec![]),
        _ => run_api::respond(request).unwrap(),
    })
}

fn upload(server: &Server, size_bytes: usize) -> Vec<Request> {
    let home = Home::new();
    home.file("big.tgz", &vec![7; size_bytes]);
    let args = ["runs", "upload", "wsr_1", "big.tgz", "--idempotency-key", "k", "--json"];
    let ended = home.run(&server.url, &args).success();
    assert_eq!(ended.lines()[0]["data"]["workspaceRun"]["status"], "archive_uploaded");
    server.requests()
}

#[test]
fn a_large_archive_goes_straight_to_the_object_store_without_the_key() {
    let store = Server::start(|_, attempt| match attempt {
        0 => Reply::Bytes(503, vec![], b"<Error>SlowDown</Error>".to_vec()),
        _ => Reply::Bytes(200, vec![], vec![]),
    });
    let server = api("pending", format!("{}/bucket/key?signature=x", store.url));
    let requests = upload(&server, BIG_BYTES);
    assert_eq!(
        server.routes(),
        ["POST /v1/workspace-runs/wsr_1/archive-transfer", "POST /v1/workspace-runs/wsr_1/archive/finalize"]
    );
    let puts = store.requests();
    assert_eq!(puts.len(), 2, "the first one failed");
    for put in puts {
        assert_eq!(put.path, "/bucket/key?signature=x");
        assert_eq!(put.body.len(), BIG_BYTES);
        assert_eq!(put.header("authorization"), None);
        assert_eq!(put.header("x-amz-checksum-sha256"), Some("abc="));
        assert_eq!(put.header("transfer-encoding"), None);
    }
    let finalize = requests[1].json();
    assert_eq!(
        (finalize["uploadId"].as_str(), finalize["sizeBytes"].as_u64()),
        (Some("upl_1"), Some(BIG_BYTES as u64))
    );
    assert_eq!(finalize["sha256"], requests[0].json()["sha256"]);
    let keys: Vec<_> = requests.iter().filter_map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys, ["k.transfer", "k.finalize"]);
}

#[test]
fn the_key_goes_to_the_apis_own_upload_route() {
    let server = api("pending", "/staged".to_owned());
    let requests = upload(&server, BIG_BYTES);
    assert_eq!(requests[1].route(), "PUT /staged");
    assert!(requests[1].header("authorization").is_some());
}

#[test]
fn the_signature_of_an_upload_address_stays_out_of_messages() {
    let store = Server::start(|_, _| Reply::Bytes(403, vec![], b"<Error>AccessDenied</Error>".to_vec()));
    let server = api("pending", format!("{}/bucket/key?signature=secret", store.url));
    let home = Home::new();
    home.file("big.tgz", &vec![7; BIG_BYTES]);
    let ended = home.run(&server.url, &["runs", "upload", "wsr_1", "big.tgz"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err().contains("AccessDenied") && !ended.err().contains("secret"), "{}", ended.err());
}

#[test]
fn a_finalized_transfer_is_not_sent_again() {
    let server = api("finalized", "/staged".to_owned());
    upload(&server, BIG_BYTES);
    assert!(!server.routes().contains(&"PUT /staged".to_owned()));
}

#[test]
fn a_server_with_a_lower_limit_gets_a_transfer() {
    let server = Server::start(|request, _| match request.route().as_str() {
        "PUT /v1/workspace-runs/wsr_1/archive" => {
            Reply::Json(413, json!({"error": {"code": "file_too_large", "message": "use a transfer"}}))
        }
        "POST /v1/workspace-runs/wsr_1/archive-transfer" => Reply::Json(201, transfer("pending", "/staged")),
        "PUT /staged" => Reply::Bytes(204, vec![], vec![]),
        _ => uploaded(),
    });
    upload(&server, 1000);
    assert_eq!(server.routes().len(), 4);
}
