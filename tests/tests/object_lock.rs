//! Sealed objects can be locked in the store, against everybody.

use infra::s3::Purged;
use serde_json::{Value, json};
use testkit::{Crownest, DEADLINE, Options, SIGNING_KEY, Stack, archive, program};

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

#[tokio::test]
async fn what_is_locked_in_the_store_stays_whoever_has_its_keys() {
    let lock = ["--object-lock-mode", "governance", "--object-lock-days", "1"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { object_lock: lock, ..Options::default() }).await;
    let client = stack.client();
    let body = json!({"command": "echo one > a", "artifacts": [{"path": "a"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let evidence = client.evidence(&run).await;
    let part = text(&evidence["eventLog"]["parts"][0], "objectKey").to_owned();
    let folder = part.rsplit_once('/').expect("a folder").0.to_owned();
    let of = |name: &str| format!("{folder}/{name}");
    for key in [of("evidence.json"), of("attestation.dsse.json"), of("provenance.dsse.json"), part] {
        let versions = stack.store.version_ids(&key).await.expect("the store lists them");
        assert_eq!(versions.len(), 1, "{key}");
        let refused = stack.store.delete_version(&key, &versions[0]).await;
        assert!(refused.is_err(), "{key} was deleted");
        let purged = stack.store.purge(&key).await.expect("the store answers");
        let Purged::Locked { until: Some(until) } = purged else { panic!("{key} is not locked: {purged:?}") };
        let left = until.duration_since(std::time::SystemTime::now()).expect("in the future");
        assert!((23..=24).contains(&(left.as_secs() / 3600)), "{key}: {left:?}");
        // A deletion without a version only hides the object.
        stack.store.delete(&key).await.expect("it is hidden");
        assert!(stack.store.get(&key).await.is_err());
        let versions_now = stack.store.version_ids(&key).await.expect("the store lists them");
        let marker = versions_now.iter().find(|version| !versions.contains(version)).expect("a delete marker");
        stack.store.delete_version(&key, marker).await.expect("a marker is not locked");
        stack.store.get(&key).await.expect("it is there again");
    }
    // Artifacts have a retention of their own, and the log of evidence and the tables change by design.
    let artifact = text(&evidence["artifacts"][0], "objectKey");
    assert_eq!(stack.store.purge(artifact).await.expect("the store answers"), Purged::Gone);
    let verified = Crownest::trusting(&stack).await.run(["evidence", "verify", &run, "--without-artifacts"]).await;
    assert_eq!(verified.code, 1, "{}", verified.text());
    assert!(!verified.text().contains("FAILED"), "{}", verified.text());
}

#[tokio::test]
async fn a_bucket_that_cannot_lock_is_named_at_the_start() {
    let stack = Stack::with(Options { executor: false, collector: false, ..Options::default() }).await;
    let mut flags = stack.collector_flags(SIGNING_KEY);
    flags.extend(["--object-lock-mode", "compliance", "--object-lock-days", "30"].map(str::to_owned));
    let refused = tokio::process::Command::new(program("crownest-collector")).args(flags).output();
    let refused = tokio::time::timeout(DEADLINE, refused).await.expect("in time").expect("it can be started");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("has no Object Lock"), "{said}");
}
