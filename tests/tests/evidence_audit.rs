//! Audits of a log whose operator is not honest any more: every change and removal is named.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use schemas::attestation::jwks::{Jwk, JwkSet};
use schemas::merkle::{self, leaf_hash};
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::entry::{read_bundle, write_bundle};
use schemas::transparency::note::{self, NoteKey};
use schemas::transparency::proof::TreeHead;
use schemas::transparency::tile::{Resource, Tile};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Client, Crownest, Options, SIGNING_KEY, Stack, eventually};

/// An operator who is not honest any more, and can rewrite everything but the memory of others.
struct Operator<'a> {
    stack: &'a Stack,
    key: Ed25519KeyPair,
}

fn signing_key() -> Ed25519KeyPair {
    let der: String = SIGNING_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&STANDARD.decode(der).expect("base64")).expect("a key")
}

impl Operator<'_> {
    async fn object(&self, resource: Resource) -> bytes::Bytes {
        self.stack.store.get(&resource.object_key()).await.expect("it is there")
    }

    async fn put(&self, key: &str, body: bytes::Bytes) {
        self.stack.store.delete(key).await.expect("it can be deleted");
        self.stack.store.put_new(key, body, "text/plain").await.expect("it can be written");
    }

    async fn checkpoint(&self, note: &[u8]) {
        self.put(&Resource::Checkpoint.object_key(), note.to_vec().into()).await;
    }

    async fn database(&self, sql: &str) {
        self.stack.admin.get().await.expect("a connection").batch_execute(sql).await.expect("it is done");
    }

    /// Writes a log of these entries, fewer than a tile, signed like the real one; returns its checkpoint.
    async fn rewrite(&self, entries: &[Vec<u8>]) -> String {
        let size = entries.len() as u64;
        let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let tile = Tile::in_tree(0, 0, size).expect("entries");
        self.put(&Resource::Hashes(tile).object_key(), leaves.concat().into()).await;
        let bundle = write_bundle(entries.iter().map(Vec::as_slice)).expect("short entries");
        self.put(&Resource::Entries(tile).object_key(), bundle.into()).await;
        let note = self.object(Resource::Checkpoint).await;
        let origin = Checkpoint::unverified(std::str::from_utf8(&note).expect("text")).expect("a checkpoint").origin;
        let tree = TreeHead { size, root: merkle::root(&leaves) };
        let text = Checkpoint { origin: origin.clone(), tree }.to_text();
        let key = NoteKey::new(&origin, self.key.public_key().as_ref().try_into().expect("32 bytes")).expect("a name");
        let note = note::signed(&text, &key, self.key.sign(text.as_bytes()).as_ref());
        self.checkpoint(note.as_bytes()).await;
        note
    }
}

/// Runs an audit with a memory of its own; returns the exit code, and the findings as `code run`.
async fn audit(cli: &Crownest, args: &[&str]) -> (i32, Vec<String>) {
    let ended = cli.run([&["evidence", "audit", "--json"], args].concat()).await;
    assert!([0, 1, 3].contains(&ended.code), "{}", ended.stderr);
    let report = ended.data();
    assert_eq!(report["passed"], json!(ended.code == 0), "{report}");
    let findings =
        [&report["problems"], &report["notChecked"]].into_iter().flat_map(|list| list.as_array().expect("findings"));
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = findings.map(|found| format!("{} {}", word(&found["code"]), word(&found["workspaceRunId"])));
    (ended.code, findings.map(|found| found.trim_end().to_owned()).collect())
}

/// Ends runs; returns their ids in the order of their entries in the log.
async fn logged(client: &Client, count: usize) -> Vec<String> {
    let mut runs = Vec::new();
    for _ in 0..count {
        let run = client.create(json!({"command": "true"})).await;
        client.cancel(&run).await.expect(200);
        runs.push(run);
    }
    let mut order = BTreeMap::new();
    for run in runs {
        let index = eventually("the run is in the log", async || {
            let answer = client.get(&format!("/v1/workspace-runs/{run}/evidence/inclusion")).await;
            answer.body["inclusion"]["leafIndex"].as_u64()
        });
        order.insert(index.await, run);
    }
    order.into_values().collect()
}

#[tokio::test]
async fn an_audit_names_what_was_changed_or_removed() {
    let stack = Stack::with(Options { executor: false, metering: false, ..Default::default() }).await;
    let client = stack.client();
    let operator = Operator { stack: &stack, key: signing_key() };
    let runs = logged(&client, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let cli = Crownest::trusting(&stack).await.with("XDG_STATE_HOME", folder.path().to_str().unwrap());
    assert_eq!(audit(&cli, &["--full"]).await, (0, vec![]));
    let nothing = folder.path().join("nothing");
    let fresh = ["--state", nothing.to_str().unwrap()];

    // The bundle of a run, in the store and in the database.
    let sql = "select evidence_key from collector.seals where run_id = $1";
    let row = stack.admin.get().await.unwrap().query_one(sql, &[&runs[1]]).await.unwrap();
    let key: String = row.get(0);
    let honest = stack.store.get(&key).await.unwrap();
    let forged = String::from_utf8(honest.to_vec()).unwrap().replace("\"command\":\"true\"", "\"command\":\"false\"");
    let digest = hex::encode(Sha256::digest(&forged));
    operator.put(&key, forged.into()).await;
    operator
        .database(&format!("update collector.seals set evidence_sha256 = '{digest}' where run_id = '{}'", runs[1]))
        .await;
    assert_eq!(audit(&cli, &[]).await, (3, vec![format!("evidence_replaced {}", runs[1])]));
    assert_eq!(audit(&cli, &["--run", &runs[0]]).await, (0, vec![]), "of another run nothing was changed");
    operator.put(&key, "no JSON".into()).await;
    assert_eq!(audit(&cli, &[]).await, (3, vec![format!("evidence_replaced {}", runs[1])]));
    stack.store.delete(&key).await.unwrap();
    assert_eq!(audit(&cli, &[]).await, (3, vec![format!("evidence_missing {}", runs[1])]));
    operator.put(&key, honest).await;
    assert_eq!(audit(&cli, &[]).await, (0, vec![]));

    // The signed statement: exchanged for that of another run, and removed.
    let statement = |key: &str| key.replace("evidence.json", "attestation.dsse.json");
    let row = stack.admin.get().await.unwrap().query_one(sql, &[&runs[0]]).await.unwrap();
    let other = stack.store.get(&statement(row.get(0))).await.unwrap();
    let honest = stack.store.get(&statement(&key)).await.unwrap();
    operator.put(&statement(&key), other).await;
    assert_eq!(audit(&cli, &[]).await, (3, vec![format!("attestation_replaced {}", runs[1])]));
    stack.store.delete(&statement(&key)).await.unwrap();
    assert_eq!(audit(&cli, &[]).await, (3, vec![format!("attestation_missing {}", runs[1])]));
    operator.put(&statement(&key), honest).await;
    assert_eq!(audit(&cli, &[]).await, (0, vec![]));

    // The checkpoint alone: changed, removed, signed by another key, of yesterday.
    let tile = Tile::in_tree(0, 0, 3).unwrap();
    let (checkpoint, hashes) =
        (operator.object(Resource::Checkpoint).await, operator.object(Resource::Hashes(tile)).await);
    let text = String::from_utf8(checkpoint.to_vec()).unwrap();
    operator.checkpoint(text.replacen("\n3\n", "\n4\n", 1).as_bytes()).await;
    assert_eq!(audit(&cli, &[]).await, (3, vec!["bad_signature".to_owned()]));
    operator.checkpoint(&checkpoint).await;
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, serde_json::to_string(&JwkSet { keys: vec![Jwk::ed25519(&[7; 32])] }).unwrap()).unwrap();
    assert_eq!(audit(&cli, &["--keys", keys.to_str().unwrap()]).await, (3, vec!["bad_signature".to_owned()]));
    stack.store.delete(&Resource::Checkpoint.object_key()).await.unwrap();
    assert_eq!(
        audit(&cli, &["--run", "wsr_gone"]).await,
        (3, vec!["run_missing wsr_gone".to_owned(), "checkpoint_missing".to_owned()])
    );
    operator.checkpoint(&checkpoint).await;
    let entries: Vec<Vec<u8>> = read_bundle(tile, &operator.object(Resource::Entries(tile)).await)
        .unwrap()
        .iter()
        .map(|entry| entry.to_vec())
        .collect();
    operator.rewrite(&entries[..2]).await;
    assert_eq!(
        audit(&cli, &["--run", "wsr_gone"]).await,
        (3, vec!["run_missing wsr_gone".to_owned(), "rolled_back".to_owned()])
    );

    // A whole log without one entry: found by an auditor with a memory, and by one that asks for the missing run.
    let fork = [&entries[..1], &[b"{}".to_vec()], &entries[2..]].concat();
    operator.rewrite(&fork).await;
    assert_eq!(audit(&cli, &[]).await, (3, vec!["inconsistent".to_owned()]));
    assert_eq!(audit(&cli, &fresh).await, (3, vec![format!("not_logged {}", runs[1])]));
    std::fs::remove_file(&nothing).unwrap();

    // A second entry for a run: every proof holds, and only a full audit finds both.
    let twice = [&entries[..], &entries[..1]].concat();
    operator.rewrite(&twice).await;
    operator.put(&Resource::Hashes(tile).object_key(), hashes).await;
    assert_eq!(audit(&cli, &[]).await, (0, vec![]));
    assert_eq!(audit(&cli, &["--full"]).await, (3, vec!["duplicate_entry".to_owned()]));
    let last = Tile::in_tree(0, 0, 4).unwrap();
    let changed = write_bundle([&entries[1], &entries[0], &entries[2], &entries[0]].map(|entry| &entry[..])).unwrap();
    operator.put(&Resource::Entries(last).object_key(), changed.into()).await;
    let (code, findings) = audit(&cli, &["--full"]).await;
    assert_eq!((code, findings[0].as_str()), (3, "entries_changed"));

    let told = cli.run([&["evidence", "audit"], &fresh[..]].concat()).await.expect(0).text();
    assert!(told.contains("passed") && told.contains("the first audit here"), "{told}");
}

#[tokio::test]
async fn a_run_that_was_removed_as_a_whole_is_missed() {
    let stack = Stack::with(Options { executor: false, metering: false, ..Default::default() }).await;
    let runs = logged(&stack.client(), 2).await;
    let operator = Operator { stack: &stack, key: signing_key() };
    let cli = Crownest::trusting(&stack).await;
    assert_eq!(audit(&cli, &[]).await, (0, vec![]));
    let belongs = |org: &str| format!("update ingest.runs set org_id = '{org}' where id = '{}'", runs[1]);
    operator.database(&belongs("org_nobody")).await;

    // An audit that saw it once misses it, and one that asks for it finds it in the log.
    let removed = (3, vec![format!("run_removed {}", runs[1])]);
    assert_eq!(audit(&cli, &[]).await, removed);
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("state");
    assert_eq!(audit(&cli, &["--run", &runs[1], "--state", fresh.to_str().unwrap()]).await, removed);
    operator.database(&belongs(stack.org.as_str())).await;
    assert_eq!(audit(&cli, &[]).await, (0, vec![]));
}
