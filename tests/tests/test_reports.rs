//! Test reports among the artifacts: found or declared, counted in the evidence, or refused.

use schemas::attestation::dsse::Envelope;
use schemas::attestation::predicate::TEST_RESULT;
use schemas::attestation::statement::Statement;
use serde_json::{Value, json};
use testkit::{Crownest, Stack, archive};

#[tokio::test]
async fn test_reports_are_counted_whatever_becomes_of_the_run() {
    let stack = Stack::start().await;
    let client = stack.client();
    let junit = "<testsuites><testsuite name=\"s\"><testcase name=\"a\" time=\"1.5\"/><testcase name=\"b\"><failure/>\
                 </testcase></testsuite></testsuites>";
    let ctrf =
        r#"{"results":{"tool":{"name":"t"},"tests":[{"name":"a","status":"passed","flaky":true,"duration":7}]}}"#;
    let laughs = "<!DOCTYPE testsuites [<!ENTITY a \"ha\">]><testsuites>&a;</testsuites>";
    let files = [("junit.xml", junit), ("out/ctrf.json", ctrf), ("laughs.xml", laughs), ("other.xml", "<project/>")];
    let command = "cp junit.xml out/copy.xml; cp junit.xml out/plain.txt; printf '<testsuites>' > cut.txt; exit 3";
    let body = json!({"command": command, "env": {"TOKEN": "s3cret-value"}, "artifacts": [
        {"path": "junit.xml"},
        {"path": "out/copy.xml"},
        {"path": "out/*.txt", "report": "junit"},
        {"path": "out/ctrf.json", "name": "report"},
        {"path": "laughs.xml"},
        {"path": "other.xml"},
        {"path": "cut.txt", "report": "junit"},
        {"path": "junit.xml", "report": "ctrf"},
        {"path": "out", "report": "junit"},
    ]});
    let run = client.submit(body, &archive(&files)).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["failureReason"], &ended["exitCode"]), (&json!("command_exit"), &json!(3)));
    let counts =
        json!({"total": 3, "passed": 2, "failed": 1, "errors": 0, "skipped": 0, "flaky": 1, "durationMs": 1507});
    assert_eq!(ended["tests"], counts);
    let evidence = client.evidence(&run).await;
    let artifacts = evidence["artifacts"].as_array().expect("artifacts");
    assert_eq!(artifacts.len(), 9, "all are kept: {artifacts:?}");
    let reports = evidence["tests"]["reports"].as_array().expect("reports");
    let told: Vec<_> =
        reports.iter().map(|report| (&report["artifactId"], &report["format"], &report["total"])).collect();
    // The same bytes are counted once.
    let expected =
        [(&artifacts[0]["id"], &json!("junit"), &json!(2)), (&artifacts[3]["id"], &json!("ctrf"), &json!(1))];
    assert_eq!(told, expected);
    for (name, count) in counts.as_object().expect("counts") {
        assert_eq!(&evidence["tests"][name], count, "{name}");
    }
    let errors: Vec<_> = evidence["artifactErrors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| [&error["path"], &error["code"], &error["message"]].map(|text| text.as_str().expect("a text")))
        .collect();
    let junit = "collected, but not counted as a test report in JUnit XML: line 1:";
    let invalid = |path, message| [path, "test_report_invalid", message];
    assert_eq!(
        errors,
        [
            invalid("laughs.xml", &*format!("{junit} a document type (DOCTYPE) is not allowed in a report")),
            invalid("cut.txt", &*format!("{junit} the report ends before it is complete")),
            invalid(
                "junit.xml",
                "collected, but not counted as a test report in CTRF JSON: line 1: not well-formed: no JSON"
            ),
            invalid(
                "out",
                "collected, but not as a test report: expected a file in JUnit XML, or a pattern for several; got a folder"
            ),
        ]
    );
    assert_eq!(client.run(&run).await["tests"], counts, "kept with the run");

    // The signed test result says no more than the bundle, and both are verified together.
    let attestations = client.get(&format!("/v1/workspace-runs/{run}/attestations")).await.expect(200);
    let envelope: Envelope = serde_json::from_value(attestations["data"][2]["envelope"].clone()).expect("an envelope");
    let payload = envelope.payload().expect("base64");
    let statement: Statement<Value> = Statement::parse(&payload, TEST_RESULT).expect("a test result");
    assert_eq!(statement.predicate["result"], "FAILED");
    assert_eq!(statement.subject[0].sha256(), evidence["archive"]["sha256"].as_str());
    let verified = Crownest::trusting(&stack).await.run(["evidence", "verify", &run]).await.expect(0).text();
    assert!(verified.contains("verified     test result: 3 tests: FAILED, signed by the key"), "{verified}");
}

#[tokio::test]
async fn two_runs_are_compared_test_by_test() {
    let stack = Stack::start().await;
    let (client, crownest) = (stack.client(), Crownest::of(&stack));
    let command = "printf '<testsuite><testcase name=\"a\">%s</testcase></testsuite>' \"$(cat result)\" > report.txt; \
                   test ! -s result";
    let body = json!({"command": command, "artifacts": [{"path": "report.txt", "report": "junit"}]});
    let mut runs = Vec::new();
    for result in ["", "<failure/>"] {
        let run = client.submit(body.clone(), &archive(&[("result", result)])).await;
        client.wait_terminal(&run).await;
        runs.push(run);
    }
    let found = crownest.run(["evidence", "diff", &runs[0], &runs[1], "--json"]).await.expect(3).data();
    assert_eq!(
        found["tests"]["cases"]["newlyFailing"],
        json!([{"name": "a", "a": "passed", "b": "failed"}]),
        "{found}"
    );
    let facts = found["facts"].as_array().expect("facts").iter().filter(|fact| fact["same"] == false);
    let different: Vec<_> = facts.map(|fact| fact["name"].as_str().expect("a name")).collect();
    assert_eq!(different, ["outcome", "exitCode", "failureReason", "archive"]);
    crownest.run(["evidence", "diff", &runs[1], &runs[1]]).await.expect(0);
}
