//! Every ended run is signed: by statements that a stranger's verifier accepts, about the stored bytes.

use std::process::Stdio;

use schemas::attestation::dsse::Envelope;
use schemas::attestation::jwks::JwkSet;
use schemas::attestation::key::PublicKey;
use schemas::attestation::predicate::{RUN_EVIDENCE, RunEvidence, SLSA_PROVENANCE};
use schemas::attestation::statement::Statement;
use schemas::run::Outcome;
use schemas::transparency::inclusion::Inclusion;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Client, Crownest, DEADLINE, Options, Stack, archive, eventually, installed};
use tokio::io::AsyncWriteExt as _;

async fn key_set(client: &Client) -> JwkSet {
    let answer = client.without_key().get("/.well-known/jwks.json").await.expect(200);
    serde_json::from_value(answer).expect("a JWK set")
}

async fn attestations(client: &Client, run: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v1/workspace-runs/{run}/attestations")).await.expect(200);
    answer["data"].as_array().expect("a list").clone()
}

fn envelope(attestation: &Value) -> Envelope {
    serde_json::from_value(attestation["envelope"].clone()).expect("an envelope")
}

#[tokio::test]
async fn every_ending_is_signed() {
    let stack = Stack::start().await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let body = json!({"command": "echo out; echo 1 > a; exit 3", "artifacts": [{"path": "a"}]});
    let failed = client.submit(body, &archive).await;
    let canceled = client.create(json!({"command": "true"})).await;
    let path = format!("/v1/workspace-runs/{canceled}/attestations");
    assert_eq!(client.get(&path).await.error(404), "not_found");
    assert_eq!(stack.stranger().await.get(&path).await.error(404), "not_found");
    client.cancel(&canceled).await.expect(200);

    for (run, outcome, objects) in [(&failed, Outcome::Failure, 4), (&canceled, Outcome::Cancellation, 2)] {
        client.wait_terminal(run).await;
        let keys = PublicKey::all(&key_set(&client).await).expect("well-formed keys");
        let found = attestations(&client, run).await;
        let (payload, _) = envelope(&found[0]).verify(&keys).expect("it is signed");
        let statement = Statement::<RunEvidence>::parse(&payload, RUN_EVIDENCE).expect("a statement");
        assert_eq!(
            (statement.predicate.workspace_run_id.as_str(), statement.predicate.outcome),
            (run.as_str(), outcome)
        );
        assert_eq!(statement.subject.len(), objects);
        for subject in &statement.subject {
            let stored = stack.store.get(&subject.name).await.expect("each subject is an object");
            assert_eq!(subject.sha256(), Some(&*hex::encode(Sha256::digest(&stored))), "{}", subject.name);
        }
        let evidence = client.evidence(run).await;
        assert_eq!(statement.predicate.event_log.merkle_root, evidence["eventLog"]["merkleRoot"]);
        // The signed statement is in the log, too.
        let logged = eventually("it is in the log", async || {
            let answer = client.get(&format!("/v1/workspace-runs/{run}/evidence/inclusion")).await;
            (answer.status == 200).then(|| answer.body["inclusion"].clone())
        });
        let logged: Inclusion = serde_json::from_value(logged.await).expect("a proof");
        assert_eq!(logged.entry.attestation_sha256, Some(hex::encode(Sha256::digest(&payload))));
    }

    // Provenance is about artifacts: a run without artifacts has none.
    assert_eq!(attestations(&client, &canceled).await.len(), 1);
    let found = attestations(&client, &failed).await;
    assert_eq!(found[1]["predicateType"], SLSA_PROVENANCE);
    let keys = PublicKey::all(&key_set(&client).await).expect("well-formed keys");
    let (payload, _) = envelope(&found[1]).verify(&keys).expect("it is signed");
    let provenance: Statement<Value> = Statement::parse(&payload, SLSA_PROVENANCE).expect("a statement");
    assert_eq!(provenance.subject.len(), 1);
    assert_eq!(provenance.predicate["runDetails"]["metadata"]["invocationId"], json!(failed));
    let dependency = &provenance.predicate["buildDefinition"]["resolvedDependencies"][0];
    assert_eq!(dependency["digest"]["sha256"], json!(archive.sha256));
}

/// The payload, or the verifier's complaint.
async fn verify_elsewhere(keys: &JwkSet, envelope: &Value) -> Result<Vec<u8>, String> {
    let mut verifier = tokio::process::Command::new(installed("crownest-securesystemslib"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/attestations.py"))
        .arg(serde_json::to_string(keys).expect("JSON"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it is installed: run `infra/setup.sh --test`");
    let mut stdin = verifier.stdin.take().expect("a pipe");
    stdin.write_all(envelope.to_string().as_bytes()).await.expect("it reads");
    drop(stdin);
    let ended = tokio::time::timeout(DEADLINE, verifier.wait_with_output()).await.expect("it ends in time");
    let ended = ended.expect("an end");
    if ended.status.success() { Ok(ended.stdout) } else { Err(String::from_utf8_lossy(&ended.stderr).into_owned()) }
}

#[tokio::test]
async fn a_verifier_of_others_accepts_them_and_finds_a_changed_byte() {
    let stack = Stack::start().await;
    let client = stack.client();
    let run = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let keys = key_set(&client).await;
    let good = attestations(&client, &run).await[0]["envelope"].clone();
    let payload = verify_elsewhere(&keys, &good).await.expect("accepted");
    assert!(Statement::<RunEvidence>::parse(&payload, RUN_EVIDENCE).is_ok());

    let mut changed = good.clone();
    let text = good["payload"].as_str().expect("a text");
    let swapped = if text.as_bytes()[40] == b'A' { "B" } else { "A" };
    changed["payload"] = json!(format!("{}{swapped}{}", &text[..40], &text[41..]));
    let refused = verify_elsewhere(&keys, &changed).await.expect_err("refused");
    assert!(refused.contains("not verified"), "{refused}");
    let own = PublicKey::all(&keys).expect("well-formed keys");
    let envelope: Envelope = serde_json::from_value(changed).expect("an envelope");
    assert!(envelope.verify(&own).is_err());
}

async fn openssl(args: &[&str]) {
    let ended = tokio::process::Command::new("openssl").args(args).output().await.expect("openssl is installed");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[tokio::test]
async fn a_command_signs_with_a_key_that_no_collector_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (private, public) = (path("private.pem"), path("public.pem"));
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &private]).await;
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]).await;
    // openssl requires a file of known size.
    let command = format!(
        "f=$(mktemp -p {}) && cat > $f && openssl pkeyutl -sign -rawin -inkey {private} -in $f && rm $f",
        folder.path().display()
    );
    let flags = ["--signing-command", &command, "--signing-public-key", &public].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { collector_flags: flags, executor: false, ..Options::default() }).await;
    let client = stack.client();
    let run = client.create(json!({"command": "true"})).await;
    client.cancel(&run).await.expect(200);
    client.wait_terminal(&run).await;
    let key = PublicKey::from_pem(&std::fs::read_to_string(public).unwrap()).expect("a public key");
    assert!(envelope(&attestations(&client, &run).await[0]).verify(&[key]).is_ok());
    let verified = Crownest::trusting(&stack).await.run(["evidence", "verify", &run]).await.expect(0).text();
    assert!(verified.contains(&format!("signature: by the key {}", key.id())), "{verified}");
}

#[tokio::test]
async fn a_seal_that_another_key_repeats_keeps_what_was_signed() {
    let stack = Stack::with(Options { executor: false, collector: false, ..Options::default() }).await;
    let client = stack.client();
    // The first collector writes everything to the store, and is killed before the database knows.
    let mut blocker = stack.admin.get().await.unwrap();
    let blocked = blocker.transaction().await.unwrap();
    blocked.batch_execute("lock table collector.parts in exclusive mode").await.unwrap();
    let mut first = stack.spawn_collector();
    let run = client.create(json!({"command": "true"})).await;
    client.cancel(&run).await.expect(200);
    let created = client.run(&run).await["createdAt"].as_str().expect("a time").to_owned();
    let folder = format!("runs/org={}/project={}/date={}/run={run}", stack.org, stack.project, &created[..10]);
    let signed = eventually("the statement is in the store", async || {
        stack.store.get(&format!("{folder}/attestation.dsse.json")).await.ok()
    });
    let signed = signed.await;
    eventually("the bundle is in the store", async || stack.store.get(&format!("{folder}/evidence.json")).await.ok())
        .await;
    first.kill().await;
    assert_eq!(client.run(&run).await["status"], "awaiting_archive", "nothing has ended yet");

    blocked.rollback().await.unwrap();
    let _second = stack.spawn_collector_with_key(&collector::signing::generate().unwrap());
    client.wait_terminal(&run).await;
    assert_eq!(stack.store.get(&format!("{folder}/attestation.dsse.json")).await.unwrap(), signed);
    let keys = PublicKey::all(&key_set(&client).await).expect("well-formed keys");
    assert_eq!(keys.len(), 2);
    let envelope = envelope(&attestations(&client, &run).await[0]);
    assert!(envelope.verify(&keys[..1]).is_ok() && envelope.verify(&keys[1..]).is_err());
    Crownest::trusting(&stack).await.run(["evidence", "verify", &run]).await.expect(0);
}
