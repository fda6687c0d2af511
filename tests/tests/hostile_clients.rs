//! Clients that want to use up the service: each bound has its answer, memory stays flat, and others are served.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, Options, Process, Stack, archive, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const CONNECTIONS: usize = 1000;
/// The promise: so much more for a thousand hostile connections.
const MOST_KIB: u64 = 128 * 1024;

async fn stack(flags: &[&str]) -> Stack {
    let ingest_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Stack::with(Options { ingest_flags, ..Default::default() }).await
}

/// An API service in a process of its own, so that its memory can be measured.
async fn own_ingest(stack: &Stack) -> (Process, String) {
    let (ingest, url) = stack.spawn_ingest();
    let client = Client::new(&url, stack.key());
    eventually("the other ingest serves", async || {
        let answer = client.request(Method::GET, "/healthz").send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    (ingest, url)
}

/// A connection with small buffers in the kernel, so that what is not taken stays with the service.
async fn connect(url: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(url.strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap()
}

fn head(stack: &Stack, line: &str, more: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}\r\n", stack.key()).into_bytes()
}

/// The beginning of an upload of so many bytes.
fn upload(stack: &Stack, run: &str, size: usize) -> Vec<u8> {
    let sha256 = "ab".repeat(32);
    let more =
        format!("content-length: {size}\r\nx-crownest-archive-sha256: {sha256}\r\nx-crownest-archive-size: {size}\r\n");
    head(stack, &format!("PUT /v1/workspace-runs/{run}/archive"), &more)
}

/// Sends as much of `bytes` as the service takes, and then neither sends nor reads.
async fn stalled(url: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(url).await;
    let mut sent = 0;
    while sent < bytes.len() {
        // A service that takes nothing for so long is not going to.
        match tokio::time::timeout(Duration::from_millis(300), stream.write(&bytes[sent..])).await {
            Ok(Ok(more)) => sent += more,
            _ => break,
        }
    }
    stream
}

/// The largest of the memory until it grows no more.
async fn settled(ingest: &Process) -> u64 {
    let (mut most, mut unchanged) = (0, 0);
    while unchanged < 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = ingest.resident_kib();
        unchanged = if now > most + 512 { 0 } else { unchanged + 1 };
        most = most.max(now);
    }
    most
}

async fn run_with_output(client: &Client) -> (String, String) {
    let body = json!({"command": "head -c 4000000 /dev/urandom | base64 | tee a", "artifacts": [{"path": "a"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    (run, ended["artifactIds"][0].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_thousand_hostile_connections_cost_little_and_others_are_served() {
    let stack = stack(&[]).await;
    let (ingest, url) = own_ingest(&stack).await;
    let client = Client::new(&url, stack.key());
    let (run, artifact) = run_with_output(&client).await;
    let open = client.create(json!({"command": "true"})).await;
    for n in 0..12 {
        client.create(json!({"command": "x".repeat(60_000), "metadata": {"n": n.to_string()}})).await;
    }
    let stranger = stack.stranger().await.at(&url);
    let (key, size) = (|line: &str| head(&stack, line, ""), 8 * 1024 * 1024);
    let mut body = head(&stack, "POST /v1/workspace-runs", "content-length: 1048575\r\n");
    body.extend(vec![b' '; 1_048_000]);
    let mut archive = upload(&stack, &open, size);
    archive.extend(vec![0; size - 1]);
    let mut headers = b"GET /v1/projects HTTP/1.1\r\nhost: x\r\nx-long: ".to_vec();
    headers.extend(vec![b'x'; 500_000]);
    let events = |n: usize| key(&format!("GET /v1/workspace-runs/{run}/events?stream=true&afterSeq={n}"));
    let mut unread: Vec<Vec<u8>> = (0..50).map(events).collect();
    for line in [
        format!("GET /v1/workspace-runs/{run}/events?limit=500"),
        format!("GET /v1/artifacts/{artifact}/download"),
        "GET /v1/workspace-runs?limit=500".to_owned(),
    ] {
        unread.extend(vec![key(&line); 50]);
    }
    let attacks = [
        ("headers, uploads and bodies that are not finished", vec![headers, archive, body]),
        ("streams, pages, downloads and lists that are not read", unread),
    ];
    let before = settled(&ingest).await;
    for (attack, requests) in attacks {
        let connections = join_all((0..CONNECTIONS).map(|n| stalled(&url, &requests[n % requests.len()]))).await;
        let most = settled(&ingest).await;
        eprintln!("{attack}: {} KiB more than {before}", most.saturating_sub(before));
        assert!(most.saturating_sub(before) < MOST_KIB, "{attack}: {} KiB more", most - before);
        // Another organization does what it always does.
        let other = stranger.create(json!({"command": "true"})).await;
        let bytes = archive_of(100_000);
        tokio::time::timeout(Duration::from_secs(10), stranger.upload(&other, &bytes)).await.expect(attack).expect(200);
        let page = stranger.get(&format!("/v1/workspace-runs/{other}/events")).await.expect(200);
        assert!(page["data"].is_array(), "{attack}");
        drop(connections);
    }
}

fn archive_of(bytes: usize) -> testkit::Archive {
    let noise: Vec<u8> = (0..bytes).map(|n| u8::try_from(n * 7919 % 251).unwrap_or(0)).collect();
    testkit::Archive::of(noise)
}

/// The status of an answer and its whole text.
async fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut read = Vec::new();
    let reading = async {
        while !read.windows(2).any(|pair| pair == b"}}") {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(testkit::DEADLINE, reading).await.expect("an answer in time");
    let text = String::from_utf8_lossy(&read).into_owned();
    (text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), text)
}

#[tokio::test]
async fn a_byte_now_and_then_keeps_no_upload_open() {
    let stack = stack(&["--body-idle-timeout-ms", "500"]).await;
    let run = stack.client().create(json!({"command": "true"})).await;
    let mut stream = connect(&stack.api_url).await;
    stream.write_all(&upload(&stack, &run, 1000)).await.unwrap();
    let (mut reads, mut writes) = stream.into_split();
    let trickle = async {
        while writes.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut text = vec![0; 4096];
    let read = async { reads.read(&mut text).await.unwrap() };
    let length = tokio::select! {
        length = tokio::time::timeout(testkit::DEADLINE, read) => length.expect("an answer in time"),
        () = trickle => panic!("closed without an answer"),
    };
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 400") && text.contains("expected at least 4096"), "{text}");
}

#[tokio::test]
async fn a_key_has_so_many_streams_and_uploads_at_once() {
    let stack = stack(&["--streams-per-key", "2", "--uploads-per-key", "1", "--buffer-wait-ms", "200"]).await;
    let client = stack.client();
    let run = client.create(json!({"command": "true"})).await;
    let path = format!("/v1/workspace-runs/{run}/events?stream=true");
    let streams = [client.stream(&run, None, None).await, client.stream(&run, None, None).await];
    for path in [path.as_str(), &format!("/v1/workspace-runs/{run}?wait=10")] {
        let refused = client.get(path).await;
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.body["error"]["details"], json!({"retryAfterMs": 5000}), "{path}");
        assert_eq!(refused.error(429), "rate_limited");
    }
    // Another key of the organization has its own.
    drop(stack.client_with(schemas::scope::Scope::ALL, None).await.stream(&run, None, None).await);
    drop(streams);
    eventually("a place is free", async || {
        (client.request(Method::GET, &path).send().await.ok()?.status() == 200).then_some(())
    })
    .await;

    let mut first = connect(&stack.api_url).await;
    first.write_all(&upload(&stack, &run, 1000)).await.unwrap();
    let (first_run, other) = (run, client.create(json!({"command": "true"})).await);
    eventually("the first upload is under way", async || {
        let mut second = connect(&stack.api_url).await;
        let mut bytes = upload(&stack, &other, 5);
        bytes.extend(b"bytes");
        second.write_all(&bytes).await.unwrap();
        let (status, text) = answer(&mut second).await;
        (status == 429).then(|| assert!(text.contains("1 uploads at once"), "{text}"))
    })
    .await;
    drop(first);
    eventually("the first upload is given up", async || {
        (client.upload(&first_run, &archive(&[("x", "")])).await.status == 200).then_some(())
    })
    .await;
    let metrics = stack.client().bytes(&format!("{}/metrics", stack.ingest_ops_url)).await;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("crownest_ingest_refused_total{limit=\"streams_of_key\"} 2"), "{metrics}");
}

#[tokio::test]
async fn uploads_take_from_one_budget_which_no_organization_has_alone() {
    // Two parts of an upload, of which an organization gets one.
    let stack = stack(&["--upload-buffer-bytes", "16777216", "--buffer-wait-ms", "300"]).await;
    let client = stack.client();
    let run = client.create(json!({"command": "true"})).await;
    let in_use = async || {
        let metrics = client.bytes(&format!("{}/metrics", stack.ingest_ops_url)).await;
        let metrics = String::from_utf8(metrics).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("crownest_ingest_buffer_bytes{buffers=\"uploads\"}"));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|text| text.parse::<u64>().ok()).unwrap()
    };
    let size = 8 * 1024 * 1024;
    let mut first = connect(&stack.api_url).await;
    first.write_all(&upload(&stack, &run, size)).await.unwrap();
    let other = client.create(json!({"command": "true"})).await;
    client.upload(&other, &archive(&[("a", "before any byte has come, nothing is taken")])).await.expect(200);
    first.write_all(b"x").await.unwrap();
    eventually("a part is taken", async || (in_use().await == size as u64).then_some(())).await;
    let third = client.create(json!({"command": "true"})).await;
    let refused = client.upload(&third, &archive(&[("a", "b")])).await;
    assert_eq!(refused.headers["retry-after"], "5");
    assert_eq!(refused.error(503), "service_unavailable");
    let stranger = stack.stranger().await;
    let run = stranger.create(json!({"command": "true"})).await;
    stranger.upload(&run, &archive(&[("a", "b")])).await.expect(200);
    drop(first);
    eventually("it is given back", async || (in_use().await == 0).then_some(())).await;
    client.upload(&third, &archive(&[("a", "b")])).await.expect(200);
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_connection() {
    let stack = stack(&["--write-idle-timeout-ms", "300"]).await;
    let client = stack.client();
    let (run, _) = run_with_output(&client).await;
    let request = head(&stack, &format!("GET /v1/workspace-runs/{run}/events?stream=true"), "");
    let _stalled = stalled(&stack.api_url, &request).await;
    let streams = async || {
        let metrics = client.bytes(&format!("{}/metrics", stack.ingest_ops_url)).await;
        String::from_utf8(metrics).unwrap().contains("crownest_ingest_stream_clients 0")
    };
    eventually("the stream is given up", async || streams().await.then_some(())).await;
    // Who comes back misses nothing.
    let events: Vec<Value> = client.stream(&run, None, None).await.rest().await;
    assert_eq!(events.last().unwrap()["type"], "terminal");
}
