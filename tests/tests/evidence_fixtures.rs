//! Evidence of every released version is verified forever, offline, with the keys that were kept beside it.

use std::path::Path;

use testkit::Crownest;

#[tokio::test]
async fn frozen_evidence_is_verified() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/fixtures/evidence");
    let cli = Crownest::new();
    let folders = |path: &Path| {
        let entries = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let runs: Vec<_> = folders(&fixtures).iter().flat_map(|version| folders(version)).collect();
    assert!(runs.len() >= 9, "{runs:?}");
    for run in runs {
        let keys = run.join("jwks.json");
        let (run, keys) = (run.to_str().expect("text"), keys.to_str().expect("text"));
        let verified = cli.run(["evidence", "verify", run, "--keys", keys, "--json"]).await.expect(0).data();
        assert_eq!(verified["result"], "verified", "{verified}");
        let names: Vec<_> = verified["checks"].as_array().expect("checks").iter().map(|check| &check["name"]).collect();
        for name in ["schema", "signature", "statement", "event_log_part", "merkle_root", "events", "inclusion"] {
            assert!(names.iter().any(|found| *found == name), "{verified}");
        }
    }
}
