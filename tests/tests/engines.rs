//! A run from its archive to its evidence on an OCI runtime: everything around the sandbox is the same.

use serde_json::{Value, json};
use testkit::{Options, Stack, archive};

const COMMAND: &str =
    "cat src/input; echo $TOKEN >&2; mkdir out; id -u > out/user; echo kept > /tmp/t; cp /tmp/t out/; exit 3";

#[tokio::test]
async fn a_run_on_an_oci_runtime_leaves_the_same_proof() {
    let stack = Stack::with(Options { engine: "oci", ..Options::default() }).await;
    let client = stack.client();
    let body = json!({
        "command": COMMAND, "env": {"TOKEN": "oci-canary-123"},
        "artifacts": [{"path": "out/user"}, {"path": "out"}, {"path": "/tmp/t"}],
    });
    let run = client.submit(body, &archive(&[("src/input", "from the archive\n")])).await;
    let hanging = client.submit(json!({"command": "echo ready; sleep 1000"}), &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("failed"), &json!(3)), "{ended}");
    assert_eq!((&ended["failureReason"], &ended["cleanupStatus"]), (&json!("command_exit"), &json!("succeeded")));

    let events = client.events(&run, 500).await;
    let output = |stream: &str| -> String {
        let of_stream = events.iter().filter(|event| event["type"] == stream);
        of_stream.filter_map(|event| event["data"].as_str()).collect()
    };
    assert_eq!((output("stdout").as_str(), output("stderr").as_str()), ("from the archive\n", "***\n"));
    let statuses: Vec<_> = events.iter().filter_map(|event| event["status"].as_str()).collect();
    assert_eq!(statuses, ["starting", "extracting", "running", "collecting"]);

    let ids: Vec<&str> = ended["artifactIds"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let [user, folder] = &ids[..] else { panic!("{ended}") };
    let bytes = async |id: &str| {
        let path = format!("/v1/artifacts/{id}/download");
        let answer = client.request(reqwest::Method::GET, &path).send().await.expect("an answer");
        answer.bytes().await.expect("bytes")
    };
    assert_eq!(bytes(user).await, "1000\n");
    let names: Vec<String> = tar::Archive::new(&bytes(folder).await[..])
        .entries()
        .expect("a tar")
        .map(|entry| entry.expect("an entry").path().expect("a path").display().to_string())
        .collect();
    assert_eq!(names, ["out", "out/t", "out/user"]);
    assert_eq!(ended["artifactErrors"][0]["code"], "path_outside_workspace", "/tmp is no part of the workspace");

    let evidence = client.evidence(&run).await;
    assert_eq!((&evidence["outcome"], &evidence["exitCode"]), (&json!("failure"), &json!(3)));
    assert_eq!(evidence["completeness"]["complete"], true);
    assert_eq!(evidence["eventLog"]["count"], json!(events.len()));
    let resources = &evidence["resources"];
    for counter in ["cpuUserMs", "memoryPeakBytes", "cpuThrottledMs", "diskUsedBytes"] {
        assert!(resources[counter].is_u64(), "{counter}: {resources}");
    }
    assert!(resources.get("pidsPeak").is_none(), "the runtime's own are among them: {resources}");

    client.wait_for(&hanging, &["running"]).await;
    client.cancel(&hanging).await.expect(200);
    let canceled = client.wait_terminal(&hanging).await;
    assert_eq!((&canceled["status"], &canceled["cleanupStatus"]), (&json!("canceled"), &json!("succeeded")));
}
