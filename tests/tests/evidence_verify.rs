//! Exported evidence, verified without the installation: everything that was changed, cut, swapped or left out is
//! named.

mod trust;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::{Crownest, Options, Stack, archive};

/// Leaves two artifacts of the same size and a test report, and a log of several parts.
const COMMAND: &str = "echo one > a; echo two > b; echo '<testsuite><testcase name=\"t\"/></testsuite>' > c.xml; \
                       for i in 1 2; do head -c 150000 /dev/urandom | base64 -w0; sleep 0.2; done; exit 3";

async fn stack() -> Stack {
    let small = ["--part-bytes".to_owned(), "65536".to_owned()];
    Stack::with(Options { collector_flags: small.to_vec(), ..Options::default() }).await
}

async fn ended_run(stack: &Stack) -> String {
    let client = stack.client();
    let body = json!({"command": COMMAND, "artifacts": [{"path": "a"}, {"path": "b"}, {"path": "c.xml"}]});
    let run = client.submit(body, &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    run
}

/// Runs a verification; returns the exit code, and every check that is not verified as `status name` with its message.
async fn verify(cli: &Crownest, args: &[&str]) -> (i32, Vec<(String, String)>) {
    let ended = cli.run([&["evidence", "verify", "--json"], args].concat()).await;
    assert!([0, 1, 3, 4].contains(&ended.code), "{}", ended.stderr);
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
    let report = ended.data();
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    let good = if ended.code == 4 { "consistent" } else { "verified" };
    let bad = report["checks"].as_array().expect("checks").iter().filter(|check| check["status"] != good);
    let bad =
        bad.map(|check| (format!("{} {}", word(&check["status"]), word(&check["name"])), word(&check["message"])));
    let expected =
        ["verified", "incomplete", "", "failed", "consistent"][usize::try_from(ended.code).expect("0, 1, 3 or 4")];
    assert_eq!(report["result"], expected, "{report}");
    (ended.code, bad.collect())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

/// Changes a text file; the text must be there.
fn edit(folder: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(name)).expect("a text");
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(folder.join(name), text.replacen(from, to, 1)).expect("it is written");
}

fn artifacts(folder: &Path) -> [PathBuf; 2] {
    ["a", "b"].map(|name| {
        let mut found =
            fs::read_dir(folder.join("artifacts")).expect("artifacts").map(|own| own.expect("one").path().join(name));
        found.find(|path| path.exists()).expect("it was exported")
    })
}

/// A change of an export.
type Tamper = fn(&Path);
/// Name of a change, exit code of the verification, and findings: name and part of the message.
type Case = (&'static str, i32, Tamper, &'static [(&'static str, &'static str)]);

const CASES: &[Case] = &[
    ("no change", 0, |_| {}, &[("absent archive", "--archive")]),
    (
        "cut part",
        3,
        |folder| change_part(folder, |bytes| bytes.truncate(bytes.len() - 1)),
        &[("failed event_log_part", "it was cut"), ("not_checked merkle_root", "")],
    ),
    (
        "longer part",
        3,
        |folder| change_part(folder, |bytes| bytes.push(b'x')),
        &[("failed event_log_part", "something was added")],
    ),
    (
        "changed byte",
        3,
        |folder| change_part(folder, |bytes| bytes[100] ^= 1),
        &[("failed event_log_part", "it was changed"), ("not_checked events", "1 of")],
    ),
    (
        "missing part",
        3,
        |folder| fs::remove_file(folder.join(PART)).expect("done"),
        &[("failed event_log_part", "missing")],
    ),
    (
        "swapped artifacts",
        3,
        |folder| {
            let [a, b] = artifacts(folder);
            let bytes = fs::read(&a).expect("done");
            fs::copy(&b, &a).expect("done");
            fs::write(&b, bytes).expect("done");
        },
        &[("failed artifact", "it was changed"), ("failed artifact", "it was changed")],
    ),
    (
        "missing artifact",
        3,
        |folder| fs::remove_file(&artifacts(folder)[0]).expect("done"),
        &[("failed artifact", "missing")],
    ),
    (
        "a folder instead of an artifact",
        3,
        |folder| {
            let [a, _] = artifacts(folder);
            fs::remove_file(&a).expect("done");
            fs::create_dir(&a).expect("done");
        },
        &[("failed artifact", "not a regular file")],
    ),
    (
        "deleted artifact with a tombstone of another",
        3,
        |folder| {
            let [a, _] = artifacts(folder);
            fs::remove_file(&a).expect("done");
            let tombstone = r#"{"sha256":"00","deletedAt":"2026-01-31T12:00:00.000Z"}"#;
            fs::write(a.parent().expect("a folder").with_extension("tombstone.json"), tombstone).expect("done");
        },
        &[("failed artifact", "its tombstone has SHA-256 00")],
    ),
    (
        "another exit code",
        3,
        |folder| edit(folder, "evidence.json", "\"exitCode\":3,\"failure", "\"exitCode\":4,\"failure"),
        &[
            ("failed statement", "it was changed"),
            ("failed inclusion", "it was replaced"),
            ("failed events", "another ending"),
        ],
    ),
    (
        "a failure that became a success",
        3,
        |folder| edit(folder, "evidence.json", "\"outcome\":\"failure\"", "\"outcome\":\"success\""),
        &[("failed schema", "contradicts itself"), ("failed statement", "it was changed")],
    ),
    (
        "one more member",
        3,
        |folder| edit(folder, "evidence.json", "{", "{\"aLaterOne\":1,"),
        &[("failed statement", "it was changed"), ("failed inclusion", "it was replaced")],
    ),
    (
        "a member twice",
        3,
        |folder| edit(folder, "evidence.json", "{", "{\"command\":\"true\","),
        &[("failed schema", "occurs twice")],
    ),
    (
        "a later version with a word that nobody knows yet",
        1,
        |folder| {
            edit(folder, "evidence.json", "\"schemaVersion\":\"1.1", "\"schemaVersion\":\"1.99");
            edit(folder, "evidence.json", "\"outcome\":\"failure\"", "\"outcome\":\"unheardOf\"");
        },
        &[("not_checked schema", "take a newer one")],
    ),
    (
        "no JSON",
        3,
        |folder| fs::write(folder.join("evidence.json"), "nothing").expect("done"),
        &[("failed schema", "JSON")],
    ),
    (
        "a version of the future",
        3,
        |folder| edit(folder, "evidence.json", "\"schemaVersion\":\"1.", "\"schemaVersion\":\"2."),
        &[("failed schema", "version 1, got `2.")],
    ),
    (
        "other bytes in the statement",
        3,
        |folder| edit(folder, "attestation.dsse.json", "\"payload\":\"ey", "\"payload\":\"ez"),
        &[("failed signature", ""), ("failed inclusion", "attestation")],
    ),
    (
        "no statement",
        3,
        |folder| fs::remove_file(folder.join("attestation.dsse.json")).expect("done"),
        &[("not_checked signature", "no signed statement"), ("failed inclusion", "it is missing")],
    ),
    (
        "the statement about artifacts in place of the one about everything",
        3,
        |folder| {
            fs::copy(folder.join("provenance.dsse.json"), folder.join("attestation.dsse.json")).expect("done");
        },
        &[("failed statement", "expected the predicate type"), ("failed inclusion", "attestation")],
    ),
    (
        "a better result of the tests",
        3,
        |folder| {
            fs::copy(folder.join("attestation.dsse.json"), folder.join("test-result.dsse.json")).expect("done");
        },
        &[("failed test_result", "expected the predicate type")],
    ),
    (
        "no provenance",
        1,
        |folder| fs::remove_file(folder.join("provenance.dsse.json")).expect("done"),
        &[("not_checked provenance", "no signed statement")],
    ),
    (
        "no proof",
        1,
        |folder| fs::remove_file(folder.join("inclusion.json")).expect("done"),
        &[("not_checked inclusion", "no proof")],
    ),
    (
        "another place in the log",
        3,
        |folder| edit(folder, "inclusion.json", "\"leafIndex\":0", "\"leafIndex\":1"),
        &[("failed inclusion", "log")],
    ),
    (
        "no keys beside it, which are not believed anyhow",
        0,
        |folder| fs::remove_file(folder.join("jwks.json")).expect("done"),
        &[],
    ),
    (
        "no statement about the tests",
        1,
        |folder| fs::remove_file(folder.join("test-result.dsse.json")).expect("done"),
        &[("not_checked test_result", "no signed statement about the tests")],
    ),
    (
        "another exit code beside the bundle",
        3,
        |folder| {
            let bundle = fs::read_to_string(folder.join("evidence.json")).expect("a bundle");
            fs::write(folder.join("evidence.json"), format!("{{\"exitCode\":0,\"evidence\":{bundle}}}")).expect("done");
        },
        &[("failed schema", "expected nothing beside the bundle")],
    ),
    (
        "a FIFO instead of a statement",
        3,
        |folder| {
            fs::remove_file(folder.join("attestation.dsse.json")).expect("done");
            let made = std::process::Command::new("mkfifo").arg(folder.join("attestation.dsse.json")).status();
            assert!(made.expect("mkfifo").success());
        },
        &[("failed signature", "not a regular file")],
    ),
];

const PART: &str = "events-00001.ndjson.zst";

fn change_part(folder: &Path, change: fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(folder.join(PART)).expect("a part");
    change(&mut bytes);
    fs::write(folder.join(PART), bytes).expect("it is written");
}

/// Exports a run's evidence into a folder, which is removed with the temporary one.
async fn exported(stack: &Stack, run: &str) -> (tempfile::TempDir, PathBuf) {
    let temporary = tempfile::tempdir().expect("a folder");
    let good = temporary.path().join("good");
    let done =
        Crownest::trusting(stack).await.run(["evidence", "export", run, good.to_str().expect("text")]).await.expect(0);
    assert!(done.text().contains("result       verified"), "{}", done.text());
    (temporary, good)
}

#[tokio::test]
async fn everything_that_can_be_done_to_an_export_is_found_and_named() {
    let stack = stack().await;
    let run = ended_run(&stack).await;
    let (temporary, good) = exported(&stack, &run).await;
    let evidence: Value = serde_json::from_slice(&fs::read(good.join("evidence.json")).unwrap()).unwrap();
    assert!(evidence["eventLog"]["parts"].as_array().unwrap().len() > 2, "{}", evidence["eventLog"]);
    // This command line is not logged in anywhere, so it asks nobody.
    let cli = Crownest::new();
    cli.run(["evidence", "trust", good.join("jwks.json").to_str().unwrap()]).await.expect(0);
    let (code, open) = verify(&cli, &[good.to_str().unwrap()]).await;
    assert_eq!((code, open.len()), (0, 1), "{open:?}");

    for (number, (what, code, tamper, expected)) in CASES.iter().enumerate() {
        let folder = temporary.path().join(number.to_string());
        copy(&good, &folder);
        tamper(&folder);
        let (found_code, found) = verify(&cli, &[folder.to_str().unwrap()]).await;
        assert_eq!(found_code, *code, "{what}: {found:?}");
        for (name, message) in *expected {
            let fits = |(found, said): &(String, String)| found == name && said.contains(message);
            assert!(found.iter().any(fits), "{what}: expected {name} with `{message}` in {found:?}");
        }
    }
}

/// The key of RFC 8037, appendix A.
const OTHER_KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[tokio::test]
async fn keys_and_archives_are_those_that_are_given() {
    let stack = stack().await;
    let run = ended_run(&stack).await;
    let (temporary, good) = exported(&stack, &run).await;
    let good_text = good.to_str().unwrap();
    let cli = Crownest::new();
    cli.run(["evidence", "trust", good.join("jwks.json").to_str().unwrap()]).await.expect(0);
    // Keys of another installation; then the right keys, and the archive of the run.
    let keys = temporary.path().join("keys.json");
    fs::write(&keys, OTHER_KEYS).unwrap();
    let (code, found) = verify(&cli, &[good_text, "--keys", keys.to_str().unwrap()]).await;
    assert_eq!(code, 3);
    assert!(
        found.iter().any(|(name, said)| name == "failed signature" && said.contains("none of the known keys")),
        "{found:?}"
    );
    let repository = temporary.path().join("repo.tgz");
    fs::write(&repository, &archive(&[("x", "")]).bytes).unwrap();
    let compared = ["--archive", repository.to_str().unwrap()];
    assert_eq!(verify(&cli, &[&[good_text], &compared[..]].concat()).await, (0, Vec::new()));
    fs::write(&repository, "another").unwrap();
    assert_eq!(verify(&cli, &[&[good_text], &compared[..]].concat()).await.0, 3);

    // A folder in use is never written to, and only its own evidence verifies a run.
    let refused = Crownest::of(&stack).run(["evidence", "export", &run, good_text, "--json"]).await;
    assert!(refused.error().1.contains("is not empty"));
    let other = ["evidence", "verify", "wsr_another", "--offline", good_text, "--json"];
    assert!(cli.run(other).await.error().1.contains("expected wsr_another"));
}

#[tokio::test]
async fn a_run_is_verified_where_it_is() {
    let stack = stack().await;
    let run = ended_run(&stack).await;
    let cli = Crownest::trusting(&stack).await;
    let (code, open) = verify(&cli, &[&run]).await;
    assert_eq!((code, open.len()), (0, 1), "{open:?}");
    let readable = cli.run(["evidence", "verify", &run]).await.expect(0).text();
    for line in
        ["verified     signature: by the key", "verified     merkle root: of", "keys from    `crownest evidence trust`"]
    {
        assert!(readable.contains(line), "{readable}");
    }

    // The file that `--output` writes has another form and the same meaning.
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("evidence.json");
    let file = file.to_str().unwrap();
    cli.run(["workspace-runs", "evidence", &run, "--output", file]).await.expect(0);
    assert_eq!(verify(&cli, &[file]).await.0, 0);
    assert_eq!(verify(&cli, &[file, "--without-artifacts"]).await.0, 1);

    // A deleted artifact is not a lie; an artifact with other bytes is, and so is a missing part.
    let evidence = stack.client().evidence(&run).await;
    let key = |value: &Value| value["objectKey"].as_str().expect("a key").to_owned();
    stack.client().delete(&format!("/v1/artifacts/{}", evidence["artifactIds"][0].as_str().unwrap())).await.expect(200);
    let (code, open) = verify(&cli, &[&run]).await;
    assert_eq!(code, 0, "{open:?}");
    assert!(
        open.iter()
            .any(|(name, said)| name == "absent artifact" && said.contains("its tombstone says that it was deleted")),
        "{open:?}"
    );
    let (artifact, part) = (key(&evidence["artifacts"][1]), key(&evidence["eventLog"]["parts"][1]));
    stack.store.delete(&artifact).await.unwrap();
    stack.store.put_new(&artifact, "TWO\n".into(), "text/plain").await.unwrap();
    stack.store.delete(&part).await.unwrap();
    let (code, open) = verify(&cli, &[&run]).await;
    assert_eq!(code, 3, "{open:?}");
    assert!(open.iter().any(|(name, said)| name == "failed artifact" && said.contains("it was changed")), "{open:?}");
    assert!(open.iter().any(|(name, said)| name == "failed event_log_part" && said == "it is missing"), "{open:?}");
    assert!(cli.run(["evidence", "verify", "wsr_nothing", "--json"]).await.error().0 == "not_found");
}
