//! The services as operators meet them: wrong flags, orderly ends, and the numbers for scaling.

use std::process::Stdio;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use testkit::{Options, Stack, archive, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

const SERVICES: [&str; 4] = ["crownest-ingest", "crownest-executor", "crownest-collector", "crownest-metering"];
/// Variables of every service.
const VARIABLES: [&str; 5] =
    ["CROWNEST_DATABASE_URL", "CROWNEST_AMQP_URL", "CROWNEST_AMQP_PREFIX", "CROWNEST_OPS_LISTEN", "CROWNEST_LOG"];

/// Runs a service without this environment; returns exit code, standard output and standard error.
async fn run(service: &str, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(testkit::program(service));
    command.args(flags).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    let output =
        tokio::time::timeout(testkit::DEADLINE, command.output()).await.expect("it ends").expect("it can be started");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn help_documents_every_variable() {
    for service in SERVICES {
        let (code, help, errors) = run(service, &["--help"]).await;
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{service}");
        // Long names may be wrapped.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for variable in VARIABLES {
            assert!(help.contains(&format!("[env: {variable}")), "{service}: {variable} in {help}");
        }
        let (_, options) = help.split_once(" Options: ").unwrap();
        let undocumented = options.matches(" --").count() - help.matches("[env: CROWNEST_").count();
        // --help and --version, and the flags that texts mention.
        assert!(undocumented <= 4, "{service}: {undocumented} flags without a variable in {help}");
        let (code, version, _) = run(service, &["--version"]).await;
        assert_eq!(code, Some(0));
        assert!(version.starts_with(service), "{version}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_exits_with_64_and_says_what_was_expected() {
    let base = ["--database-url", "postgres://127.0.0.1:1/x", "--amqp-url", "amqp://127.0.0.1:1/%2f"];
    let store = ["--s3-endpoint", "http://127.0.0.1:1", "--s3-access-key", "x", "--s3-secret-key", "secret-value"];
    for service in SERVICES {
        let complete = if service == "crownest-metering" { base.to_vec() } else { [&base[..], &store].concat() };
        // The wrong flag replaces the right one.
        let with = |flags: &[&'static str]| {
            let right = complete.chunks(2).filter(|pair| pair[0] != flags[0]).flatten();
            right.chain(flags).copied().collect::<Vec<_>>()
        };
        let mut wrong = vec![
            (vec![], "--database-url <URL>"),
            (vec!["--no-such-flag"], "--no-such-flag"),
            (with(&["--ops-listen", "everywhere"]), "--ops-listen <ADDR>"),
            (with(&["--database-pool", "many"]), "--database-pool <N>"),
            (with(&["--log", "loud=shouting"]), "expected a level or directives"),
            (with(&["--database-url", "mysql://user:secret-value@127.0.0.1"]), "--database-url: expected"),
            (with(&["--amqp-url", "http://user:secret-value@127.0.0.1"]), "--amqp-url: expected"),
        ];
        if service != "crownest-metering" {
            wrong.push((with(&["--s3-endpoint", "127.0.0.1:8333"]), "expected an http or https URL"));
        }
        match service {
            "crownest-ingest" => wrong.push((with(&["--public-url", "ftp://x"]), "--public-url: expected")),
            "crownest-executor" => wrong.push((with(&["--slots", "0"]), "--slots <N>")),
            _ => {}
        }
        for (flags, expected) in wrong {
            let (code, output, errors) = run(service, &flags).await;
            assert!(errors.contains(expected), "{service} {flags:?}: {errors}");
            assert_eq!((code, output.as_str()), (Some(64), ""), "{service} {flags:?}: {errors}");
            assert!(!errors.contains("secret-value"), "{service} {flags:?}: {errors}");
        }
    }
}

#[tokio::test]
async fn an_executor_finishes_what_it_runs_and_takes_nothing_new() {
    let stack = Stack::with(Options { executor: false, slots: 1, ..Default::default() }).await;
    let client = stack.client();
    let mut executor = stack.spawn_executor();
    let archive = archive(&[("x", "")]);
    let run = client.submit(json!({"command": "echo on; sleep 2; echo done"}), &archive).await;
    let next = client.submit(json!({"command": "echo next"}), &archive).await;
    eventually("the command runs", async || {
        client.events(&run, 500).await.iter().any(|event| event["type"] == "stdout").then_some(())
    })
    .await;
    assert!(executor.terminate().await.success());
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("succeeded"), &json!(0)), "{ended}");
    let evidence = client.evidence(&run).await;
    assert_eq!(evidence["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(evidence["completeness"]["complete"], true);
    assert_eq!(client.run(&next).await["status"], "starting", "it waits for another executor");
    let _other = stack.spawn_executor();
    client.wait_terminal(&next).await;
    assert_eq!(client.evidence(&next).await["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_collector_and_metering_hand_over_in_the_middle_of_runs() {
    let stack = Stack::with(Options { collector: false, metering: false, slots: 4, ..Default::default() }).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let (mut collector, mut metering) = (stack.spawn_collector(), stack.spawn_metering());
    let command = json!({"command": "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); sleep 0.01; done"});
    let runs = join_all((0..4).map(|_| client.submit(command.clone(), &archive))).await;
    for run in &runs {
        eventually("it runs", async || (client.events(run, 500).await.len() > 5).then_some(())).await;
    }
    // As in a rolling upgrade, the successors are there already, and wait for the queues.
    let (_collector, _metering) = (stack.spawn_collector(), stack.spawn_metering());
    for run in &runs {
        eventually("it goes on", async || (client.events(run, 500).await.len() > 60).then_some(())).await;
    }
    let (collector_ended, metering_ended) = tokio::join!(collector.terminate(), metering.terminate());
    assert!(collector_ended.success() && metering_ended.success(), "{collector_ended} {metering_ended}");
    let expected: String = (0..300).map(|i| format!("{i}\n")).collect();
    for run in &runs {
        assert_eq!(client.wait_terminal(run).await["status"], "succeeded");
        let events = client.events(run, 500).await;
        let said: String = events.iter().filter(|e| e["type"] == "stdout").filter_map(|e| e["data"].as_str()).collect();
        assert_eq!(said, expected);
        assert_eq!(client.evidence(run).await["completeness"]["complete"], true);
    }
    eventually("all usage is recorded", async || {
        let usage = client.get("/v1/usage").await.expect(200);
        (usage["events"]["command_invocations"] == json!(4.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ingest_finishes_an_upload_before_it_ends() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let (mut ingest, url) = stack.spawn_ingest();
    let client = testkit::Client::new(&url, stack.key());
    let address = url.trim_start_matches("http://").to_owned();
    eventually("it serves", async || TcpStream::connect(&address).await.ok()).await;
    let run = client.create(json!({"command": "true"})).await;
    let archive = archive(&[("x", "content")]);
    let (first, second) = archive.bytes.split_at(archive.bytes.len() / 2);
    let mut connection = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "PUT /v1/workspace-runs/{run}/archive HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         content-type: application/gzip\r\nx-crownest-archive-sha256: {}\r\nx-crownest-archive-size: {}\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        stack.key(),
        archive.sha256,
        archive.bytes.len(),
        archive.bytes.len(),
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 64];
    let read = connection.read(&mut interim).await.unwrap();
    assert!(interim[..read].starts_with(b"HTTP/1.1 100 "), "the handler reads the body");
    connection.write_all(first).await.unwrap();
    ingest.signal(Signal::TERM);
    eventually("it takes no new connections", async || TcpStream::connect(&address).await.err()).await;
    connection.write_all(second).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(ingest.ended().await.success());
    assert_eq!(stack.client().run(&run).await["status"], "archive_uploaded");
}

#[tokio::test]
async fn the_depth_of_the_queues_is_shown() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let client = stack.client();
    let jobs = |text: &str| {
        let line =
            text.lines().find(|line| line.starts_with("crownest_queue_messages{") && line.contains(".jobs.default"))?;
        line.rsplit_once(' ')?.1.parse::<f64>().ok()
    };
    let show = async || {
        let answer = client.get(&format!("{}/metrics", stack.ingest_ops_url)).await;
        answer.body.as_str().expect("text").to_owned()
    };
    let empty = eventually("the queues are shown", async || jobs(&show().await)).await;
    assert!(empty.abs() < f64::EPSILON);
    let archive = archive(&[("x", "")]);
    for _ in 0..3 {
        client.submit(json!({"command": "true"}), &archive).await;
    }
    eventually("three jobs wait", async || (jobs(&show().await) == Some(3.0)).then_some(())).await;
    let queues = show().await.lines().filter(|line| line.starts_with("crownest_queue_messages{")).count();
    assert_eq!(queues, 8, "jobs, usage, dead letters, parked ones and four of events");
    let _executor = stack.spawn_executor();
    eventually("no job waits", async || (jobs(&show().await) == Some(0.0)).then_some(())).await;
}
