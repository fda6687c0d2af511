//! Events: live and replayed streams are the same, wherever a client starts, and every byte of output is kept.

use base64::Engine as _;
use serde_json::{Value, json};
use testkit::{Options, Stack, archive};

/// The exact bytes of one stream.
fn output(events: &[Value], stream: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events.iter().filter(|event| event["type"] == stream) {
        match event["bytes"].as_str() {
            Some(encoded) => bytes.extend(base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64")),
            None => bytes.extend_from_slice(event["data"].as_str().expect("text").as_bytes()),
        }
    }
    bytes
}

fn assert_gapless(events: &[Value], after: u64) {
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], json!(after + 1 + index as u64), "{event}");
    }
    assert_eq!(events.iter().filter(|event| event["type"] == "terminal").count(), 1);
    assert_eq!(events.last().expect("events")["type"], "terminal");
}

#[tokio::test]
async fn the_live_stream_and_the_replay_are_the_same() {
    let stack = Stack::start().await;
    let client = stack.client();
    let script =
        "i=0; while [ $i -lt 40 ]; do echo \"line $i ünïcödé\"; echo \"err $i\" >&2; i=$((i+1)); sleep 0.02; done";
    let run = client.create(json!({"command": "sh script.sh"})).await;
    client.upload(&run, &archive(&[("script.sh", script)])).await.expect(200);
    let live = client.stream(&run, None, None).await;
    client.start(&run).await;
    let live = live.rest().await;
    assert_gapless(&live, 0);
    for limit in [1, 7, 500] {
        assert_eq!(client.events(&run, limit).await, live, "pages of {limit}");
    }
    let again = client.stream(&run, None, None).await.rest().await;
    assert_eq!(again, live);
    let expected: String = (0..40).map(|i| format!("line {i} ünïcödé\n")).collect();
    assert_eq!(String::from_utf8(output(&live, "stdout")).unwrap(), expected);
    let middle = live[live.len() / 2]["seq"].as_u64().unwrap();
    let tail = &live[live.len() / 2 + 1..];
    assert_eq!(client.stream(&run, Some(middle), None).await.rest().await, tail);
    assert_eq!(client.stream(&run, None, Some(middle)).await.rest().await, tail);
}

#[tokio::test]
async fn a_client_that_reconnects_misses_and_repeats_nothing() {
    let stack = Stack::start().await;
    let client = stack.client();
    let script = "i=0; while [ $i -lt 60 ]; do echo $i; i=$((i+1)); sleep 0.01; done";
    let run = client.create(json!({"command": "sh script.sh"})).await;
    client.upload(&run, &archive(&[("script.sh", script)])).await.expect(200);
    client.start(&run).await;
    let mut seen: Vec<Value> = Vec::new();
    let mut by_header = false;
    while seen.last().is_none_or(|event| event["type"] != "terminal") {
        let last = seen.last().and_then(|event| event["seq"].as_u64());
        let mut stream =
            if by_header { client.stream(&run, None, last).await } else { client.stream(&run, last, None).await };
        by_header = !by_header;
        // A few events, then the connection is dropped in the middle.
        for _ in 0..4 {
            let Some((_, event)) = stream.next().await else { break };
            if event["type"] != "heartbeat" {
                seen.push(event);
            }
        }
    }
    assert_gapless(&seen, 0);
    assert_eq!(client.events(&run, 500).await, seen);
}

#[tokio::test]
async fn output_is_kept_to_the_byte() {
    let stack = Stack::start().await;
    let client = stack.client();
    let command = "head -c 200000 data.bin; printf 'tail without newline' >&2";
    // Every byte value, and UTF-8 sequences that the reader's buffer will cut.
    let mut data: Vec<u8> = (0..=255).collect();
    while data.len() < 200_000 {
        data.extend_from_slice("€uro 😀 \0\u{7f}\u{1b}[31m".as_bytes());
    }
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "data.bin", data.as_slice()).unwrap();
    let archive = testkit::Archive::of(builder.into_inner().unwrap().finish().unwrap());
    let run = client.submit(json!({"command": command}), &archive).await;
    client.wait_terminal(&run).await;
    let events = client.events(&run, 500).await;
    assert!(output(&events, "stdout") == data[..200_000], "stdout differs");
    assert_eq!(output(&events, "stderr"), b"tail without newline");
}

#[tokio::test]
async fn long_logs_move_to_the_object_store_and_replay_the_same() {
    let flags = ["--part-bytes", "65536", "--segment-retention-ms", "0"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { collector_flags: flags, ..Default::default() }).await;
    let client = stack.client();
    // Hardly compressible, so that several parts are filled.
    let command = "head -c 1200000 /dev/urandom | base64";
    let run = client.create(json!({"command": command})).await;
    client.upload(&run, &archive(&[("x", "")])).await.expect(200);
    let (live, live_bytes) = (client.stream(&run, None, None).await, client.stream(&run, None, None).await);
    client.start(&run).await;
    let (live, live_bytes) = tokio::join!(live.rest(), live_bytes.frames());
    assert_gapless(&live, 0);
    let evidence = client.evidence(&run).await;
    let parts = evidence["eventLog"]["parts"].as_array().unwrap();
    assert!(parts.len() > 3, "{} parts", parts.len());
    testkit::eventually("the segments are pruned", async || {
        let client = stack.admin.get().await.unwrap();
        let left: i64 = client.query_one("select count(*) from collector.segments", &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
    assert_eq!(client.events(&run, 500).await, live);
    // A replay has the same bytes, not only the same events.
    assert_eq!(client.stream(&run, None, None).await.frames().await, live_bytes);
    let middle = live[live.len() / 2]["seq"].as_u64().unwrap();
    assert_eq!(client.stream(&run, Some(middle), None).await.rest().await, &live[live.len() / 2 + 1..]);

    // Read like a data team: fetch the parts, decompress, read lines.
    let (mut lines, mut leaves) = (Vec::new(), Vec::new());
    for part in parts {
        let bytes = stack.store.get(part["objectKey"].as_str().unwrap()).await.unwrap();
        assert_eq!(bytes.len() as u64, part["sizeBytes"].as_u64().unwrap());
        let index_offset = usize::try_from(part["indexOffset"].as_u64().unwrap()).unwrap();
        for entry in schemas::evidence::event_log::read_index(&bytes[index_offset..]).unwrap() {
            let (begin, end) =
                (usize::try_from(entry.offset).unwrap(), usize::try_from(entry.offset + entry.length).unwrap());
            leaves.push(schemas::merkle::leaf_hash(&bytes[begin..end]));
        }
        let plain = zstd::decode_all(bytes.as_ref()).unwrap();
        lines.extend(
            plain
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_slice::<Value>(line).unwrap()),
        );
    }
    assert_eq!(lines, live);
    assert_eq!(evidence["eventLog"]["merkleRoot"], json!(hex::encode(schemas::merkle::root(&leaves))));
}

/// An API service in a process of its own, so that its memory can be measured.
async fn own_ingest(stack: &Stack) -> (testkit::Process, testkit::Client) {
    let (ingest, url) = stack.spawn_ingest();
    let client = testkit::Client::new(&url, stack.key());
    testkit::eventually("the other ingest serves", async || {
        let answer = client.request(reqwest::Method::GET, "/healthz").send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    (ingest, client)
}

async fn ready_to_start(client: &testkit::Client, command: &str) -> String {
    let run = client.create(json!({"command": command})).await;
    client.upload(&run, &archive(&[("x", "")])).await.expect(200);
    run
}

#[tokio::test]
async fn a_thousand_clients_follow_one_run() {
    const CLIENTS: usize = 1000;
    let stack = Stack::start().await;
    let (ingest, client) = own_ingest(&stack).await;
    let run =
        ready_to_start(&client, "for i in $(seq 40); do head -c 3000 /dev/urandom | base64; sleep 0.05; done").await;
    let mut streams = Vec::new();
    while streams.len() < CLIENTS {
        let more = (0..50).map(|_| client.stream(&run, None, None));
        streams.extend(futures_util::future::join_all(more).await);
    }
    let before = ingest.resident_kib();
    client.start(&run).await;
    let all = streams.into_iter().map(|mut stream| async move {
        let mut seen = Vec::new();
        while let Some((id, event)) = stream.next().await {
            if event["type"] != "heartbeat" {
                seen.push((id, event["type"].as_str().unwrap().to_owned()));
            }
        }
        seen
    });
    let all = futures_util::future::join_all(all).await;
    for (index, (id, kind)) in all[0].iter().enumerate() {
        assert_eq!(*id, index as u64 + 1, "without gaps");
        assert_eq!(kind == "terminal", index + 1 == all[0].len(), "the last one, and no other: {kind}");
        assert_ne!(kind, "error");
    }
    assert!(all[0].len() > 5, "{} events", all[0].len());
    let other = all.iter().find(|seen| **seen != all[0]);
    assert!(other.is_none(), "not everybody sees the same: {:?} and {other:?}", all[0]);
    let grown = ingest.resident_kib().saturating_sub(before);
    // Output of 160 kB, 40 times: buffers for each client would be 160 MB.
    assert!(grown < 64 * 1024, "{grown} KiB more for {CLIENTS} clients");
}

#[tokio::test]
async fn clients_that_do_not_read_hurt_nobody() {
    let stack = Stack::start().await;
    let (ingest, client) = own_ingest(&stack).await;
    let run = ready_to_start(&client, "head -c 12000000 /dev/urandom | base64").await;
    let mut stalled = Vec::new();
    for _ in 0..10 {
        stalled.push(client.stream(&run, None, None).await);
    }
    let reading = client.stream(&run, None, None).await;
    let before = ingest.resident_kib();
    client.start(&run).await;
    let seen = reading.rest().await;
    assert_gapless(&seen, 0);
    let grown = ingest.resident_kib().saturating_sub(before);
    // 16 MB of output for each of ten.
    assert!(grown < 64 * 1024, "{grown} KiB more");
    // Nothing was dropped for the stalled clients: they were only not sent more than they read.
    assert!(stalled.pop().unwrap().rest().await == seen);
}
