//! Requests of strangers, malformed or too many: every limit has its answer, and costs the service nothing.

use std::time::Duration;

use reqwest::Method;
use schemas::scope::Scope;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Client, Options, Stack, archive, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn stack(flags: &[&str], plan: &'static str) -> Stack {
    let ingest_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Stack::with(Options { ingest_flags, plan, ..Default::default() }).await
}

#[tokio::test]
async fn a_key_has_so_many_requests_a_minute() {
    let stack = stack(&[], "free").await;
    let client = stack.client();
    let first = client.get("/v1/projects").await;
    assert_eq!(first.headers["ratelimit-limit"], "120");
    assert_eq!(first.headers["ratelimit-remaining"], "119");
    for _ in 0..119 {
        client.get("/v1/projects").await.expect(200);
    }
    let refused = client.get("/v1/projects").await;
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.headers["ratelimit-remaining"], "0");
    assert_eq!(refused.error(429), "rate_limited");
    // Another key of the same organization is another client.
    stack.client_with(Scope::ALL, None).await.get("/v1/projects").await.expect(200);
}

#[tokio::test]
async fn a_client_that_sends_no_headers_loses_its_socket() {
    let stack = stack(&["--header-timeout-ms", "200"], "local").await;
    let address = stack.api_url.strip_prefix("http://").unwrap();
    for beginning in [&b""[..], b"GET /v1/projects HT", b"GET /v1/projects HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(beginning).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(testkit::DEADLINE, socket.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open after {beginning:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_much_is_refused() {
    let stack = stack(&[], "local").await;
    let client = stack.client();
    let post = async |body: Vec<u8>| {
        let request = client.request(Method::POST, "/v1/workspace-runs").header("content-type", "application/json");
        client.send(request.body(body)).await
    };
    let deep =
        |open: &str, close: &str| format!("{{\"x\":{}{}}}", open.repeat(10_000), close.repeat(10_000)).into_bytes();
    for (body, status, code) in [
        (format!("{{\"command\":\"{}\"}}", "x".repeat(2 << 20)).into_bytes(), 413, "file_too_large"),
        (deep("[", "]"), 400, "invalid_request"),
        (deep("{\"x\":", "}"), 400, "invalid_request"),
        (br#"{"command":"\ud800"}"#.to_vec(), 400, "invalid_request"),
        (b"{\"command\":\"\xff\"}".to_vec(), 400, "invalid_request"),
        (br#"{"command":"x","timeoutMs":1e400}"#.to_vec(), 400, "invalid_request"),
        (br#"{"command":"x","timeoutMs":0.5}"#.to_vec(), 400, "invalid_request"),
        (b"".to_vec(), 400, "invalid_request"),
        (br#"{"command":"true","command":"false"}"#.to_vec(), 400, "invalid_request"),
        (br#"{"command":"true","metadata":{"a":"1","a":"2"}}"#.to_vec(), 400, "invalid_request"),
        (format!("{{\"command\":\"true\",\"x\":[{}0]}}", "0,".repeat(20_000)).into_bytes(), 400, "invalid_request"),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let answer = post(body).await;
        assert_eq!((answer.status.as_u16(), &answer.body["error"]["code"]), (status, &json!(code)), "{shown}");
    }
    assert_eq!(client.get("/v1/workspace-runs").await.expect(200)["data"], json!([]), "nothing came of any");
}

#[tokio::test]
async fn a_start_over_the_quota_leaves_no_run() {
    let stack = stack(&[], "local").await;
    let client = stack.client();
    let archive = archive(&[("a", "")]);
    let first = client.submit(json!({"command": "true"}), &archive).await;
    client.wait_terminal(&first).await;
    let database = stack.admin.get().await.unwrap();
    database.execute("update metering.plans set compute_unit_seconds_per_month = 0", &[]).await.unwrap();
    let declared = json!({"sha256": archive.sha256, "sizeBytes": archive.bytes.len()});
    let body = json!({"command": "true", "archive": declared, "start": true});
    let refused = client.post("/v1/workspace-runs", &body).await;
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.error(429), "quota_exceeded");
    assert_eq!(client.get("/v1/workspace-runs").await.expect(200)["data"].as_array().unwrap().len(), 1);
    let run = client.create(json!({"command": "true"})).await;
    client.upload(&run, &archive).await.expect(200);
    let refused = client.post(&format!("/v1/workspace-runs/{run}/start"), &json!({})).await;
    assert_eq!(refused.error(429), "quota_exceeded");
    assert_eq!(client.run(&run).await["status"], "archive_uploaded", "to be started in the next period");
}

#[tokio::test]
async fn a_transfer_has_its_time() {
    let stack = stack(&["--upload-expiry-ms", "4000"], "local").await;
    let client = stack.client();
    let archive = archive(&[("a", "late\n")]);
    let run = client.create(json!({"command": "cat a"})).await;
    let declared = json!({"sha256": archive.sha256, "sizeBytes": archive.bytes.len()});
    let path = format!("/v1/workspace-runs/{run}/archive-transfer");
    let transfer = client.post(&path, &declared).await.expect(201)["transfer"].clone();
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["failureReason"]), (&json!("failed"), &json!("upload_missing")));
    let put = client.request(Method::PUT, transfer["uploadUrl"].as_str().unwrap()).body(archive.bytes.clone());
    assert_eq!(client.send(put).await.error(410), "upload_expired");
    let mut body = declared.clone();
    body["uploadId"] = transfer["id"].clone();
    let finalize = client.post(&format!("/v1/workspace-runs/{run}/archive/finalize"), &body).await;
    assert_eq!(finalize.error(410), "upload_expired");
}

#[tokio::test]
async fn the_use_of_a_key_is_noted_without_a_write_for_each_request() {
    let stack = stack(&[], "local").await;
    let client = stack.client();
    for _ in 0..300 {
        client.get("/v1/projects").await.expect(200);
    }
    let keys = eventually("the use is noted", async || {
        let keys = client.get("/v1/api-keys").await.expect(200);
        keys["data"][0].get("lastUsedAt").is_some().then_some(keys)
    })
    .await;
    assert_eq!(keys["data"].as_array().unwrap().len(), 1);
    let database = stack.admin.get().await.unwrap();
    database.execute("select pg_stat_force_next_flush()", &[]).await.unwrap();
    let writes = "select coalesce(sum(n_tup_upd), 0)::bigint from pg_stat_user_tables where relname = 'api_keys'";
    let writes: i64 = database.query_one(writes, &[]).await.unwrap().get(0);
    assert!(writes < 30, "{writes} writes for 300 requests");
}

#[tokio::test]
async fn large_archives_stream_through_in_flat_memory() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 256;
    let stack = stack(&[], "local").await;
    let (ingest, url) = stack.spawn_ingest();
    let client = Client::new(&url, stack.key());
    eventually("the other ingest serves", async || {
        let answer = client.request(Method::GET, "/healthz").send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    let piece: Vec<u8> = (0..PIECE).map(|index| u8::try_from(index * 31 % 251).unwrap_or(0)).collect();
    let mut digest = Sha256::new();
    (0..PIECES).for_each(|_| digest.update(&piece));
    let declared = json!({"sha256": hex::encode(digest.finalize()), "sizeBytes": PIECE * PIECES});
    let run = client.create(json!({"command": "true"})).await;
    let path = format!("/v1/workspace-runs/{run}/archive-transfer");
    let transfer = client.post(&path, &declared).await.expect(201)["transfer"].clone();
    let before = ingest.resident_kib();
    let pieces = futures_util::stream::iter((0..PIECES).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let put = client.request(Method::PUT, transfer["uploadUrl"].as_str().unwrap());
    let put = put.header("content-length", PIECE * PIECES).body(reqwest::Body::wrap_stream(pieces));
    let sending = tokio::spawn(put.timeout(Duration::from_secs(120)).send());
    let mut most = before;
    while !sending.is_finished() {
        most = most.max(ingest.resident_kib());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(sending.await.unwrap().unwrap().status().as_u16(), 204);
    assert!(most - before < 64 * 1024, "{} KiB more for an archive of 256 MiB", most - before);
    let mut body = declared;
    body["uploadId"] = transfer["id"].clone();
    let done: Value = client.post(&format!("/v1/workspace-runs/{run}/archive/finalize"), &body).await.expect(200);
    assert_eq!(done["archive"]["sizeBytes"], json!(PIECE * PIECES));
}
