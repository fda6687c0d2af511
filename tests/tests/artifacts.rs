//! Artifacts: collected, missing, escaping, downloaded, deleted.

use serde_json::{Value, json};
use testkit::{Stack, archive};

#[tokio::test]
async fn artifacts_are_collected_and_errors_are_recorded() {
    let stack = Stack::start().await;
    let client = stack.client();
    let command = "mkdir -p out; printf '<testsuites/>' > out/junit.xml; ln -s /etc/passwd out/link; mkfifo out/fifo; \
                   head -c 3000000 /dev/zero > out/big.bin";
    let body = json!({"command": command, "artifacts": [
        {"path": "out/junit.xml", "name": "report.xml"},
        {"path": "/workspace/out/big.bin"},
        {"path": "out/missing.txt"},
        {"path": "../../etc/passwd"},
        {"path": "out/link"},
        {"path": "out/fifo"},
        {"path": "out"},
    ]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!(ended["status"], "succeeded", "never fatal: {ended}");
    let errors: Vec<(&str, &str)> = ended["artifactErrors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["path"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        errors,
        [
            ("out/missing.txt", "file_not_found"),
            ("../../etc/passwd", "path_outside_workspace"),
            ("out/link", "path_outside_workspace"),
            ("out/fifo", "artifact_collect_failed"),
            ("out", "artifact_collect_failed"),
        ]
    );
    let ids: Vec<&str> = ended["artifactIds"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(ids.len(), 2);

    let artifact = client.get(&format!("/v1/artifacts/{}", ids[0])).await.expect(200)["artifact"].clone();
    assert_eq!((&artifact["name"], &artifact["sizeBytes"]), (&json!("report.xml"), &json!(13)));
    assert_eq!(artifact["sourcePath"], "out/junit.xml");
    let found = client.post(&format!("/v1/artifacts/{}/download-url", ids[0]), &json!({})).await.expect(200);
    assert_eq!((&found["authMode"], &found["method"]), (&json!("api_key"), &json!("GET")));
    let url = found["url"].as_str().unwrap();
    let answer = client.request(reqwest::Method::GET, url).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), "<testsuites/>");

    let part = client
        .request(reqwest::Method::GET, &format!("/v1/artifacts/{}/download", ids[1]))
        .header("range", "bytes=2999990-")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), vec![0; 10]);

    let evidence = client.evidence(&run).await;
    assert_eq!(evidence["artifacts"].as_array().unwrap().len(), 2);
    assert_eq!(evidence["artifacts"][1]["sizeBytes"], 3_000_000);
    let stored = stack.store.get(evidence["artifacts"][0]["objectKey"].as_str().unwrap()).await.unwrap();
    assert_eq!(stored, "<testsuites/>");
    let kinds: Vec<_> =
        client.events(&run, 500).await.iter().filter_map(|e| e["type"].as_str().map(str::to_owned)).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "artifact_collected").count(), 2);
    assert_eq!(kinds.iter().filter(|kind| *kind == "artifact_error").count(), 5);

    let gone = client.delete(&format!("/v1/artifacts/{}", ids[0])).await.expect(200);
    assert!(gone["artifact"]["deletedAt"].is_string());
    assert_eq!(client.get(&format!("/v1/artifacts/{}/download", ids[0])).await.error(404), "not_found");
}
