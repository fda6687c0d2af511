//! Bundles of every released version are read forever, and keep members that this version does not know.

use std::path::{Path, PathBuf};

use schemas::evidence::{Document, DocumentError};
use schemas::message::AttemptEnd;
use schemas::run::{FailureReason, Outcome};
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/evidence")
}

/// Every frozen bundle, by version and name.
fn bundles() -> Vec<(String, Vec<u8>)> {
    let folders = |path: &Path| {
        let entries = std::fs::read_dir(path).expect("a fixture").map(|entry| entry.expect("a fixture").path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let runs = folders(&fixtures()).into_iter().flat_map(|version| folders(&version));
    let name = |path: &Path| path.strip_prefix(fixtures()).expect("a fixture").display().to_string();
    runs.map(|run| (name(&run), std::fs::read(run.join("evidence.json")).expect("a fixture"))).collect()
}

#[test]
fn what_they_say_is_what_they_said() {
    use FailureReason::{ArchiveInvalid, CommandExit, Timeout};
    let expected = [
        ("1.1/archive-invalid", Outcome::Failure, Some(ArchiveInvalid), None, vec![AttemptEnd::Failed], 0),
        ("1.1/canceled-before", Outcome::Cancellation, None, None, vec![], 0),
        ("1.1/canceled-running", Outcome::Cancellation, None, Some(143), vec![AttemptEnd::Canceled], 0),
        ("1.1/executor-lost", Outcome::Success, None, Some(0), vec![AttemptEnd::Lost, AttemptEnd::Exited], 0),
        ("1.1/failure", Outcome::Failure, Some(CommandExit), Some(3), vec![AttemptEnd::Exited], 3),
        ("1.1/out-of-memory", Outcome::Failure, Some(CommandExit), Some(137), vec![AttemptEnd::Exited], 0),
        ("1.1/output-cut", Outcome::Success, None, Some(0), vec![AttemptEnd::Exited], 0),
        ("1.1/success", Outcome::Success, None, Some(0), vec![AttemptEnd::Exited], 0),
        ("1.1/timeout", Outcome::Timeout, Some(Timeout), Some(143), vec![AttemptEnd::Timeout], 0),
    ];
    let mut bundles = bundles();
    bundles.sort();
    assert_eq!(bundles.len(), expected.len(), "each frozen bundle is expected to say something");
    for ((name, bytes), expected) in bundles.iter().zip(expected) {
        let document = Document::parse(bytes).unwrap();
        assert_eq!(document.canonical(), bytes, "{name}: the sealed form is canonical");
        let bundle = document.bundle;
        let attempts = bundle.attempts.iter().map(|attempt| attempt.ended).collect();
        let said = (bundle.outcome, bundle.failure_reason, bundle.exit_code, attempts, bundle.artifacts.len());
        let (expected_name, outcome, reason, exit_code, ends, artifacts) = expected;
        assert_eq!((name.as_str(), said), (expected_name, (outcome, reason, exit_code, ends, artifacts)));
        // Nothing that was written is lost on this version.
        assert_eq!(schemas::canonical::to_vec(&bundle).unwrap(), *bytes, "{name}");
    }
}

/// Adds a member of the future to every object whose members are ours to name.
fn extend(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(extend),
        Value::Object(members) => {
            let ours = members.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "metadata" | "sourceMetadata"));
            ours.for_each(|(_, member)| extend(member));
            members.insert("ofALaterVersion".to_owned(), json!({"list": [1, {"text": "x"}]}));
        }
        _ => {}
    }
}

#[test]
fn what_is_not_known_yet_survives() {
    for (name, bytes) in bundles() {
        let known = Document::parse(&bytes).unwrap();
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        extend(&mut value);
        value["schemaVersion"] = json!("1.7");
        let later = schemas::canonical::to_vec(&value).unwrap();
        // In the form for people, too.
        let document = Document::parse(&serde_json::to_vec_pretty(&value).unwrap()).unwrap();
        assert_eq!(document.canonical(), later, "{name}");
        let mut bundle = document.bundle;
        bundle.schema_version.clone_from(&known.bundle.schema_version);
        assert_eq!(bundle, known.bundle, "{name}");
    }
}

#[test]
fn what_is_no_bundle_of_ours_is_named() {
    let (_, bytes) = bundles().swap_remove(0);
    let changed = |name: &str, member: Value| {
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        value[name] = member;
        Document::of(value).unwrap_err()
    };
    assert!(matches!(changed("schemaVersion", json!("2.0")), DocumentError::Version(got) if got == "2.0"));
    assert!(matches!(changed("schemaVersion", json!("1.x")), DocumentError::Version(_)));
    assert!(matches!(changed("outcome", json!("splendid")), DocumentError::Shape(_)));
    assert!(matches!(changed("later", json!(0.5)), DocumentError::Canonical(_)));
    assert!(matches!(Document::parse(b"{"), Err(DocumentError::Json(_))));
    let mut value: Value = serde_json::from_slice(&bytes).unwrap();
    value["outcome"] = json!("splendid");
    value["schemaVersion"] = json!("1.9");
    assert!(matches!(Document::of(value), Err(DocumentError::Later { .. })));
}
