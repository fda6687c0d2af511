//! The output cap: a command may print any amount, and unstored output is reported as missing.

use serde_json::{Value, json};
use testkit::{Options, Stack, archive};

const CAP: u64 = 64 * 1024;
/// Every number has six digits and a newline.
const LINE: u64 = 7;
const LINES: u64 = 800_000;

async fn capped() -> Stack {
    let executor_flags = ["--grace-ms", "1000", "--output-cap-bytes", &CAP.to_string()].map(str::to_owned).to_vec();
    Stack::with(Options { executor_flags, ..Default::default() }).await
}

fn of_stream<'a>(events: &'a [Value], stream: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == stream).collect()
}

fn text(events: &[&Value]) -> String {
    events.iter().map(|event| event["data"].as_str().expect("output is text")).collect()
}

#[tokio::test]
async fn of_endless_output_head_and_tail_are_kept() {
    let stack = capped().await;
    let client = stack.client();
    let last = 100_000 + LINES - 1;
    // A command that lost its reader would get SIGPIPE, and not come to its last word.
    let command = format!("seq 100000 {last} && echo short >&2 && echo done > result");
    let body = json!({"command": command, "artifacts": [{"path": "result"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("succeeded"), &json!(0)), "{ended}");
    assert_eq!(ended["artifactIds"].as_array().expect("artifacts").len(), 1, "the command came to its end");

    let events = client.events(&run, 500).await;
    let output = of_stream(&events, "stdout");
    let at = output.iter().position(|event| event.get("omitted").is_some()).expect("a marker");
    let (head, tail) = (text(&output[..at]), text(&output[at + 1..]));
    let all: String = (100_000..=last).map(|number| format!("{number}\n")).collect();
    assert_eq!(head, all[..usize::try_from(CAP / 2).expect("small")]);
    assert_eq!(tail, all[all.len() - usize::try_from(CAP / 2).expect("small")..]);
    let (total, dropped) = (LINES * LINE, LINES * LINE - CAP);
    assert_eq!(output[at]["data"], "", "whoever does not know the marker prints nothing");
    assert_eq!(output[at]["omitted"], json!({"offset": CAP / 2, "bytes": dropped, "totalBytes": total}));
    assert_eq!(text(&of_stream(&events, "stderr")), "short\n");
    assert_eq!(events.last().expect("events")["type"], "terminal");

    let evidence = client.evidence(&run).await;
    let completeness = &evidence["completeness"];
    assert_eq!(completeness["complete"], false);
    assert_eq!((&completeness["stdoutBytes"], &completeness["bytesDropped"]), (&json!(total), &json!(dropped)));
    assert_eq!(completeness["truncatedStreams"], json!(["stdout"]));
    let stdout = json!({"bytesTotal": total, "bytesStored": CAP, "bytesDropped": dropped, "truncated": true});
    assert_eq!(completeness["stdout"], stdout);
    let stderr = json!({"bytesTotal": 6, "bytesStored": 6, "bytesDropped": 0, "truncated": false});
    assert_eq!(completeness["stderr"], stderr);
    assert_eq!(evidence["eventLog"]["count"], json!(events.len()));
}

#[tokio::test]
async fn output_of_exactly_the_cap_is_complete() {
    let stack = capped().await;
    let client = stack.client();
    let command = format!("head -c {CAP} /dev/zero | tr '\\0' a; head -c {} /dev/zero | tr '\\0' b >&2", CAP + 1);
    let run = client.submit(json!({"command": command}), &archive(&[("x", "")])).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
    let events = client.events(&run, 500).await;
    assert_eq!(text(&of_stream(&events, "stdout")), "a".repeat(usize::try_from(CAP).expect("small")));
    let completeness = client.evidence(&run).await["completeness"].clone();
    assert_eq!(completeness["stdout"]["truncated"], false);
    assert_eq!(completeness["truncatedStreams"], json!(["stderr"]));
    assert_eq!((&completeness["bytesDropped"], &completeness["complete"]), (&json!(1), &json!(false)));
}

#[tokio::test]
async fn a_command_out_of_time_keeps_what_it_said_last() {
    let stack = capped().await;
    let client = stack.client();
    let command = "trap 'echo last words; exit 9' TERM; while :; do seq 100000 101000; done";
    let run = client.submit(json!({"command": command, "timeoutMs": 1500}), &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["failureReason"], &ended["exitCode"]), (&json!("timeout"), &json!(9)), "{ended}");
    let events = client.events(&run, 500).await;
    let said = text(&of_stream(&events, "stdout"));
    assert!(said.starts_with("100000\n") && said.ends_with("last words\n") && said.len() as u64 == CAP);
}
