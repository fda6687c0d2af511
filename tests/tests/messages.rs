//! Messages that nobody should have written: each ends its own run, with evidence, and holds up nothing else.

use bytes::Bytes;
use futures_util::future::join_all;
use infra::amqp::{About, Message, Target};
use schemas::id::RunId;
use schemas::message::usage::UsageBatch;
use schemas::message::{EventMessage, RunEnd, Segment, encode_json};
use serde_json::{Value, json};
use testkit::{Crownest, Options, Stack, archive, eventually};

async fn publish(stack: &Stack, target: &Target, bodies: Vec<(Bytes, Option<About>)>) {
    let publisher = stack.amqp().publisher();
    let mut receipts = Vec::new();
    for (body, about) in bodies {
        let (target, content_type) = (target.clone(), "application/octet-stream");
        let message = Message { target, body, content_type, traceparent: None, about };
        receipts.push(publisher.publish(message).await.unwrap());
    }
    for receipt in receipts {
        receipt.confirmed().await.unwrap();
    }
}

async fn depth(stack: &Stack, target: &Target) -> u32 {
    let depths = stack.amqp().queue_depths().read().await.unwrap();
    depths.into_iter().find(|depth| depth.queue == target.routing_key).unwrap().messages
}

/// A run that an executor of the test's own has claimed, as its first attempt.
async fn claimed(stack: &Stack) -> RunId {
    let run: RunId = stack.client().submit(json!({"command": "true"}), &archive(&[("x", "")])).await.parse().unwrap();
    claim(stack, &run, 1).await;
    run
}

async fn claim(stack: &Stack, run: &RunId, attempt: i32) {
    let database = stack.admin.get().await.unwrap();
    let sql = "select verdict, attempt from ingest.claim_run($1, 'exe_1', 'sbx_' || $2, 'cmd_1', $3, 3)";
    let row = database.query_one(sql, &[&run.as_str(), &attempt.to_string(), &(attempt > 1)]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("go", attempt));
}

fn segment(first_seq: u64, last_seq: u64, numbers: &[u64]) -> Segment {
    let line = |seq: &u64| {
        format!("{{\"seq\":{seq},\"createdAt\":\"2026-01-31T12:00:00.000Z\",\"type\":\"stdout\",\"data\":\"x\"}}\n")
    };
    let text: String = numbers.iter().map(line).collect();
    let frame = zstd::bulk::compress(text.as_bytes(), 1).unwrap().into();
    Segment { first_seq, last_seq, plain_bytes: text.len() as u64, status: None, frame }
}

/// What the claimant reports when all went well.
fn finished() -> Value {
    let at = "2026-01-31T12:00:00.000Z";
    json!({
        "kind": "finished", "executorId": "exe_1", "sandboxId": "sbx_1", "commandId": "cmd_1",
        "verdict": {"verdict": "exited", "exit_code": 0}, "exitCode": 0, "oomKilled": false, "cleanup": "succeeded",
        "times": {"claimedAt": at, "startedAt": at, "endedAt": at, "sandboxMs": 5}, "resources": {},
        "limits": {"memoryBytes": 1, "pids": 1, "timeoutMs": 1}, "streams": {"stdoutBytes": 0, "stderrBytes": 0},
        "artifacts": [], "artifactErrors": [],
    })
}

fn with(changes: Value) -> Value {
    let (mut end, Value::Object(changes)) = (finished(), changes) else { panic!("expected members") };
    for (name, value) in changes {
        end[name] = value;
    }
    end
}

/// An event message in bytes, without the checks of ours.
fn raw(run: &RunId, attempt: u64, segment: Option<&Segment>, status: Option<&str>, end: Option<Value>) -> Bytes {
    let segment_head = segment.map(|segment| {
        let (first, last, plain) = (segment.first_seq, segment.last_seq, segment.plain_bytes);
        let head = json!({"firstSeq": first, "lastSeq": last, "plainBytes": plain, "status": status});
        format!(",\"segment\":{head}")
    });
    let end = end.map(|end| format!(",\"end\":{end}"));
    let (segment_head, end) = (segment_head.unwrap_or_default(), end.unwrap_or_default());
    let head = format!("{{\"v\":1,\"runId\":\"{run}\",\"attempt\":{attempt}{segment_head}{end}}}");
    let mut bytes = u32::try_from(head.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(segment.map_or(&[][..], |segment| &segment.frame));
    bytes.into()
}

#[tokio::test]
async fn a_message_that_nobody_can_handle_ends_its_run_with_evidence() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let flood = (0..300).map(|n| (Bytes::from(format!("letter {n} names no run")), None)).collect();
    let topology = stack.amqp().topology;
    publish(&stack, &topology.dead(), flood).await;

    let artifact = |key: String| {
        json!([{"id": "art_1", "path": "a", "name": "a", "sizeBytes": 1, "sha256": "00", "contentType": "x", "objectKey": key,
            "createdAt": "2026-01-31T12:00:00.000Z"}])
    };
    let terminal = {
        let text = "{\"seq\":1,\"type\":\"terminal\",\"workspaceRun\":{}}\n";
        let frame = zstd::bulk::compress(text.as_bytes(), 1).unwrap().into();
        Segment { first_seq: 1, last_seq: 1, plain_bytes: text.len() as u64, status: None, frame }
    };
    let bomb =
        Segment { frame: zstd::bulk::compress(&vec![b'\n'; 256 << 20], 1).unwrap().into(), ..segment(1, 1, &[1]) };
    let good = segment(1, 2, &[1, 2]);
    type Make<'a> = Box<dyn Fn(&RunId) -> Vec<Bytes> + 'a>;
    let end = |end: Value| -> Make<'_> { Box::new(move |run| vec![raw(run, 1, None, None, Some(end.clone()))]) };
    let sent = |segments: Vec<Segment>| -> Make<'_> {
        Box::new(move |run| segments.iter().map(|segment| raw(run, 1, Some(segment), None, None)).collect())
    };
    let cases: Vec<(&str, Make<'_>)> = vec![
        ("larger than a message", end(with(json!({"message": "x".repeat(5 << 20)})))),
        ("of a kind to come", end(json!({"kind": "something"}))),
        ("a NUL, which the database refuses", end(with(json!({"message": "a\u{0}b"})))),
        ("another sandbox than the claim's", end(with(json!({"sandboxId": "sbx_2"})))),
        ("another executor", end(with(json!({"executorId": "exe_2"})))),
        ("another command", end(with(json!({"commandId": "cmd_2"})))),
        ("a number without a form", end(with(json!({"redactions": u64::MAX})))),
        (
            "an artifact of somebody else",
            end(with(json!({"artifacts": artifact("runs/org=org_1/evidence.json".to_owned())}))),
        ),
        ("events twice", sent(vec![segment(1, 2, &[1, 1, 2, 2])])),
        ("an overlap", sent(vec![good.clone(), segment(2, 3, &[2, 3])])),
        ("an overlap around all", sent(vec![good.clone(), segment(1, 3, &[1, 2, 3])])),
        ("numbers that go back", sent(vec![segment(2, 1, &[1, 2])])),
        ("numbers beyond all", sent(vec![Segment { first_seq: 1 << 60, last_seq: 1 << 60, ..good.clone() }])),
        ("more numbers than events", sent(vec![segment(1, 3, &[1, 2])])),
        ("a frame that explodes", sent(vec![bomb])),
        ("a frame that is none", sent(vec![Segment { frame: Bytes::from_static(b"junk"), ..good.clone() }])),
        ("a terminal event", sent(vec![terminal])),
        ("a final status", Box::new(|run| vec![raw(run, 1, Some(&good), Some("succeeded"), None)])),
        ("an attempt beyond all", Box::new(|run| vec![raw(run, 4_000_000_000, None, None, Some(finished()))])),
        ("nothing but a name", Box::new(|run| vec![Bytes::from(format!("{{\"runId\": \"{run}\""))])),
    ];
    let client = stack.client();
    let checks = cases.iter().map(async |(what, make)| {
        let run = claimed(&stack).await;
        let bodies = make(&run).into_iter().map(|body| (body, None)).collect();
        publish(&stack, &topology.events_of(&run), bodies).await;
        (*what, run)
    });
    let mut runs = join_all(checks).await;
    // A publisher that names the run, of a body that does not.
    let named = claimed(&stack).await;
    publish(&stack, &topology.events_of(&named), vec![("junk".into(), Some(About::attempt(&named, 1)))]).await;
    runs.push(("a name beside the body", named));
    for (what, run) in &runs {
        let ended = client.wait_terminal(run.as_str()).await;
        let outcome = (&ended["status"], &ended["failureReason"], &ended["failureClass"]);
        assert_eq!(outcome, (&json!("failed"), &json!("internal_error"), &json!("platform")), "{what}: {ended}");
        let evidence = client.evidence(run.as_str()).await;
        assert_eq!((&evidence["artifacts"], evidence.get("exitCode")), (&json!([]), None), "{what}");
        assert_eq!(evidence["completeness"]["complete"], false, "{what}: the report of the attempt is lost");
        assert!(evidence["outcomeMessage"].is_string(), "{what}");
        let log = &evidence["eventLog"];
        assert_eq!(log["count"], log["lastSeq"], "{what}: no number is there twice, and none is missing: {log}");
        let numbers = client.events(run.as_str(), 500).await.into_iter().map(|event| event["seq"].as_u64().unwrap());
        assert!(numbers.eq(1..=log["lastSeq"].as_u64().unwrap()), "{what}");
    }
    let crownest = Crownest::trusting(&stack).await;
    for (_, run) in [&runs[0], &runs[3], &runs[9]] {
        crownest.run(["evidence", "verify", run.as_str()]).await.expect(0);
    }
    eventually("the flood is parked", async || (depth(&stack, &topology.parked()).await == 300).then_some(())).await;
    assert_eq!(depth(&stack, &topology.dead()).await, 0);
}

#[tokio::test]
async fn a_missing_beginning_is_a_gap_and_an_overtaken_attempt_harms_nobody() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let (client, topology) = (stack.client(), stack.amqp().topology);
    let late = claimed(&stack).await;
    let body = raw(&late, 1, Some(&segment(3, 4, &[3, 4])), None, Some(finished()));
    publish(&stack, &topology.events_of(&late), vec![(body, None)]).await;
    assert_eq!(client.wait_terminal(late.as_str()).await["status"], "succeeded");
    let evidence = client.evidence(late.as_str()).await;
    assert_eq!(evidence["completeness"]["gaps"], json!([{"firstSeq": 1, "lastSeq": 2}]));
    assert_eq!((&evidence["completeness"]["complete"], &evidence["eventLog"]["count"]), (&json!(false), &json!(3)));
    Crownest::trusting(&stack).await.run(["evidence", "verify", late.as_str()]).await.expect(0);

    // The first attempt, overtaken, says what nobody can read; the second one goes on and is believed.
    let run = claimed(&stack).await;
    claim(&stack, &run, 2).await;
    let wrong = raw(&run, 1, Some(&segment(1, 2, &[1, 1])), None, None);
    let about = || Some(About::attempt(&run, 1));
    publish(&stack, &topology.events_of(&run), vec![(wrong, about()), ("junk".into(), about())]).await;
    eventually("both are handled", async || {
        let metrics = reqwest::get(format!("{}/metrics", stack.collector_ops_url)).await.unwrap().text().await.unwrap();
        let told = "crownest_collector_messages_total{verdict=\"undecodable\"} 2";
        (metrics.contains(told) && depth(&stack, &topology.dead()).await == 0).then_some(())
    })
    .await;
    let body = raw(&run, 2, Some(&segment(1, 2, &[1, 2])), None, Some(with(json!({"sandboxId": "sbx_2"}))));
    publish(&stack, &topology.events_of(&run), vec![(body, None)]).await;
    assert_eq!(client.wait_terminal(run.as_str()).await["status"], "succeeded");
}

#[tokio::test]
async fn a_run_that_cannot_be_sealed_waits_alone() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let (client, topology) = (stack.client(), stack.amqp().topology);
    let (stuck, other) = (claimed(&stack).await, claimed(&stack).await);
    let day = client.run(stuck.as_str()).await["createdAt"].as_str().unwrap()[..10].to_owned();
    let key = format!("{}/evidence.json", schemas::layout::run_folder(&stack.org, &stack.project, &day, &stuck));
    stack.store.put_new(&key, "a stranger's".into(), "text/plain").await.unwrap();
    for run in [&stuck, &other] {
        let body = raw(run, 1, Some(&segment(1, 1, &[1])), None, Some(finished()));
        publish(&stack, &topology.events_of(run), vec![(body, None)]).await;
    }
    assert_eq!(client.wait_terminal(other.as_str()).await["status"], "succeeded");
    eventually("the first try has failed", async || {
        let metrics = reqwest::get(format!("{}/metrics", stack.collector_ops_url)).await.unwrap().text().await.unwrap();
        metrics.contains("crownest_collector_retries_total{step=\"seal\"}").then_some(())
    })
    .await;
    // A dead letter about it does not keep the reader, either.
    publish(&stack, &topology.dead(), vec![("junk".into(), Some(About::run(&stuck))), ("no name".into(), None)]).await;
    eventually("both letters are handled", async || (depth(&stack, &topology.parked()).await == 1).then_some(())).await;
    stack.store.delete(&key).await.unwrap();
    assert_eq!(
        client.wait_terminal(stuck.as_str()).await["status"],
        "succeeded",
        "from the database, without its message"
    );
}

#[tokio::test]
async fn usage_that_cannot_be_recorded_frees_its_slot_and_stops_nobody() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let topology = stack.amqp().topology;
    let (unreadable, refused) = (claimed(&stack).await, claimed(&stack).await);
    let active = async || {
        let database = stack.admin.get().await.unwrap();
        let row = database.query_one("select count(*) from metering.reservations", &[]).await.unwrap();
        row.get::<_, i64>(0)
    };
    assert_eq!(active().await, 2);
    let data = json!({"orgId": stack.org, "projectId": stack.project, "meter": "sandbox_creates", "quantityMillis": 1});
    let event = json!({"specversion": "1.0", "id": "a\u{0}b", "source": "x", "type": "x", "subject": refused, "data": data,
        "time": "2026-01-31T12:00:00.000Z"});
    let usage = json!({"v": 1, "runId": refused, "events": [event]});
    let bodies = vec![
        ("junk".into(), Some(About::run(&unreadable))),
        ("junk".into(), None),
        (usage.to_string().into(), Some(About::run(&refused))),
        (encode_json(&UsageBatch { run_id: RunId::new(), events: Vec::new() }).unwrap().into(), None),
    ];
    publish(&stack, &topology.usage(), bodies).await;
    eventually("both slots are free", async || (active().await == 0).then_some(())).await;
    eventually("what is lost is parked", async || (depth(&stack, &topology.parked()).await == 3).then_some(())).await;
    let database = stack.admin.get().await.unwrap();
    let recorded: i64 = database.query_one("select count(*) from metering.ledger", &[]).await.unwrap().get(0);
    assert_eq!(recorded, 0);
}

#[tokio::test]
async fn a_thousand_artifacts_with_long_paths_are_named_or_counted() {
    let stack = Stack::start().await;
    let client = stack.client();
    let command = "d=$(printf '%0230d' 7); p=.; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do p=$p/$d; done; \
                   mkdir -p $p; cd $p; for i in $(seq 1 1000); do echo $i > f$i; done";
    let run =
        client.submit(json!({"command": command, "artifacts": [{"path": "**/f*"}]}), &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("succeeded"), &json!(0)), "{ended}");
    let evidence = client.evidence(&run).await;
    let (artifacts, errors) =
        (evidence["artifacts"].as_array().unwrap(), evidence["artifactErrors"].as_array().unwrap());
    let last = errors.last().unwrap()["message"].as_str().unwrap();
    let more: usize = last.rsplit_once("(and ").unwrap().1.split_once(' ').unwrap().0.parse().unwrap();
    assert_eq!(artifacts.len() + errors.len() + more, 1000, "{last}");
    assert!(artifacts.len() > 500 && errors[0]["message"].as_str().unwrap().contains("2.5 MiB"), "{}", errors[0]);
    // All are in the event log.
    let events = client.events(&run, 500).await;
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((of("artifact_collected"), of("artifact_error")), (artifacts.len(), errors.len() + more));
}

#[tokio::test]
async fn an_ending_comes_again_and_again_as_the_same() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let (client, topology) = (stack.client(), stack.amqp().topology);
    let run = claimed(&stack).await;
    let body = raw(&run, 1, Some(&segment(1, 2, &[1, 2])), None, None);
    let end: RunEnd = serde_json::from_value(finished()).unwrap();
    let part = Some(segment(2, 2, &[2]));
    // A segment that is known, within another message: it is not stored a second time.
    let end = EventMessage { run_id: run.clone(), attempt: 1, segment: part, end: Some(end) }.encode().unwrap();
    let bodies =
        vec![(body.clone(), None), (body.clone(), None), (end.clone().into(), None), (end.into(), None), (body, None)];
    publish(&stack, &topology.events_of(&run), bodies).await;
    assert_eq!(client.wait_terminal(run.as_str()).await["status"], "succeeded");
    let evidence = client.evidence(run.as_str()).await;
    assert_eq!((&evidence["completeness"]["complete"], &evidence["eventLog"]["count"]), (&json!(true), &json!(3)));
    Crownest::trusting(&stack).await.run(["evidence", "verify", run.as_str()]).await.expect(0);
    let events = topology.events_of(&run);
    eventually("all are handled", async || (depth(&stack, &events).await == 0).then_some(())).await;
}
