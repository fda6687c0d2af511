//! The log of all evidence: every sealed run gets into it, proofs lead to signed roots, and crashes change no byte.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use schemas::merkle::{self, leaf_hash};
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::entry::{read_bundle, run_digest, write_bundle};
use schemas::transparency::inclusion::{Inclusion, Logged};
use schemas::transparency::note::{self, NoteKey};
use schemas::transparency::proof::TreeHead;
use schemas::transparency::tile::{Resource, Tile};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Client, Crownest, Options, Stack, archive, eventually};

fn signing_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap()
}

fn jwks() -> String {
    let x = URL_SAFE_NO_PAD.encode(signing_key().public_key());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).to_string()
}

async fn public_keys(_client: &Client) -> Vec<[u8; 32]> {
    vec![signing_key().public_key().as_ref().try_into().unwrap()]
}

/// Waits for the proof that the run is in the log.
async fn inclusion(client: &Client, run: &str) -> Value {
    eventually(&format!("{run} is in the log"), async || {
        let answer = client.get(&format!("/v1/workspace-runs/{run}/evidence/inclusion")).await;
        (answer.status == 200).then(|| answer.body["inclusion"].clone())
    })
    .await
}

#[tokio::test]
async fn every_sealed_run_is_proven_to_be_in_the_log() {
    let stack = Stack::start().await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let run = client.create(json!({"command": "true"})).await;
    let early = client.get(&format!("/v1/workspace-runs/{run}/evidence/inclusion")).await;
    assert!(early.expect(404)["error"]["message"].as_str().unwrap().contains("does not exist yet"));
    client.upload(&run, &archive).await.expect(200);
    client.start(&run).await;
    let canceled = client.create(json!({"command": "true"})).await;
    client.cancel(&canceled).await.expect(200);

    for run in [&run, &canceled] {
        client.wait_terminal(run).await;
        let found = inclusion(&client, run).await;
        let proven: Inclusion = serde_json::from_value(found.clone()).unwrap();
        let evidence = client.evidence(run).await;
        let bytes = schemas::canonical::to_vec(&evidence).unwrap();
        let id = run.parse().unwrap();
        let bundle = Logged {
            run: &id,
            evidence_sha256: &hex::encode(Sha256::digest(&bytes)),
            attestation_sha256: None,
            sealed_at: evidence["timing"]["sealedAt"].as_str().unwrap().parse().unwrap(),
        };
        proven.verify(&bundle, &public_keys(&client).await).unwrap();
        assert!(!found.to_string().contains(run) && !found.to_string().contains(stack.org.as_str()), "{found}");
    }
    assert_eq!(
        stack.stranger().await.get(&format!("/v1/workspace-runs/{run}/evidence/inclusion")).await.error(404),
        "not_found"
    );
    monitor(&client, 2).await;
}

/// Reads the public log as anybody can, and returns its entries: what is in the bundles has the signed root.
async fn monitor(client: &Client, at_least: u64) -> Vec<Value> {
    let anybody = client.without_key();
    let (note, tree) = eventually("the checkpoint", async || {
        let answer = anybody.get("/tlog/checkpoint").await;
        let note = answer.body.as_str().filter(|_| answer.status == 200)?.to_owned();
        let checkpoint = Checkpoint::unverified(&note).unwrap();
        (checkpoint.tree.size >= at_least).then_some((note, checkpoint))
    })
    .await;
    Checkpoint::verified(&note, &tree.origin, &public_keys(client).await).unwrap();
    let (mut entries, mut leaves) = (Vec::new(), Vec::new());
    for index in 0.. {
        let Some(tile) = Tile::in_tree(0, index, tree.tree.size) else { break };
        let bundle = anybody.bytes(&format!("/tlog/{}", Resource::Entries(tile))).await;
        let hashes = anybody.bytes(&format!("/tlog/{}", Resource::Hashes(tile))).await;
        let bundle = read_bundle(tile, &bundle).unwrap();
        let hashed: Vec<_> = bundle.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(hashed.concat(), hashes, "tile {index}");
        entries.extend(bundle.iter().map(|entry| serde_json::from_slice::<Value>(entry).unwrap()));
        leaves.extend(hashed);
    }
    assert_eq!(merkle::root(&leaves), tree.tree.root);
    entries
}

/// Ends of runs that nobody ran, for the log to take in.
async fn seal(stack: &Stack, from: i64, count: i64) {
    let sql = "insert into collector.seals (run_id, ending, decided_at, last_seq, sealed_at, evidence_sha256)
               select 'wsr_' || n, '{}', now() + make_interval(secs => n * 0.001), 1, now(), encode(sha256(n::text::bytea), 'hex')
               from generate_series($1::int8, $1 + $2 - 1) as n";
    stack.admin.get().await.unwrap().execute(sql, &[&from, &count]).await.unwrap();
}

/// Every tree that was signed and is remembered: size and root.
async fn signed_trees(stack: &Stack) -> BTreeMap<i64, Vec<u8>> {
    let sql = "select tree_size, root_hash from collector.log_checkpoints";
    let rows = stack.admin.get().await.unwrap().query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn killed_writers_leave_one_log_with_every_run_once() {
    let options = Options { collector: false, executor: false, metering: false, ..Default::default() };
    let stack = Stack::with(options).await;
    let (mut sealed, mut trees) = (0, BTreeMap::new());
    // One writes, the other waits for its turn, and each dies when it likes.
    let mut collectors = [stack.spawn_collector(), stack.spawn_collector()];
    for round in 0..6 {
        seal(&stack, sealed, 700).await;
        sealed += 700;
        eventually("the log grows", async || (signed_trees(&stack).await.len() > trees.len()).then_some(())).await;
        trees = signed_trees(&stack).await;
        seal(&stack, sealed, 5000).await;
        sealed += 5000;
        let assigned = "select count(*) from collector.log_entries";
        let database = stack.admin.get().await.unwrap();
        let before: i64 = database.query_one(assigned, &[]).await.unwrap().get(0);
        // In the middle of a batch: it has its indexes, and its objects are being written.
        eventually("a batch begins", async || {
            let now: i64 = database.query_one(assigned, &[]).await.unwrap().get(0);
            (now > before).then_some(())
        })
        .await;
        let killed = &mut collectors[round % 2];
        killed.kill().await;
        *killed = stack.spawn_collector();
    }
    let entries = monitor(&stack.client(), u64::try_from(sealed).unwrap()).await;
    let runs: BTreeSet<&str> = entries.iter().map(|entry| entry["runSha256"].as_str().unwrap()).collect();
    assert_eq!((entries.len(), runs.len()), (usize::try_from(sealed).unwrap(), usize::try_from(sealed).unwrap()));
    for run in [0, 1, sealed - 1] {
        assert!(runs.contains(run_digest(&format!("wsr_{run}").parse().unwrap()).as_str()));
    }
    // Whatever was signed at any time is a beginning of it.
    let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(&schemas::canonical::to_vec(entry).unwrap())).collect();
    for (size, root) in signed_trees(&stack).await {
        assert_eq!(merkle::root(&leaves[..usize::try_from(size).unwrap()])[..], root[..], "{size}");
    }
}

/// Who operates the log, and is not honest any more: everything is theirs to rewrite, but for what others remember.
struct Operator<'a> {
    stack: &'a Stack,
    key: Ed25519KeyPair,
}

impl Operator<'_> {
    async fn object(&self, resource: Resource) -> bytes::Bytes {
        self.stack.store.get(&resource.object_key()).await.unwrap()
    }

    async fn put(&self, key: &str, body: bytes::Bytes) {
        self.stack.store.delete(key).await.unwrap();
        self.stack.store.put_new(key, body, "text/plain").await.unwrap();
    }

    async fn checkpoint(&self, note: &[u8]) {
        self.put(&Resource::Checkpoint.object_key(), note.to_vec().into()).await;
    }

    async fn database(&self, sql: &str) {
        self.stack.admin.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    /// A log of these entries, of fewer than a tile, signed as the real one is; returns its checkpoint.
    async fn rewrite(&self, entries: &[Vec<u8>]) -> String {
        let size = entries.len() as u64;
        let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let tile = Tile::in_tree(0, 0, size).unwrap();
        self.put(&Resource::Hashes(tile).object_key(), leaves.concat().into()).await;
        let bundle = write_bundle(entries.iter().map(Vec::as_slice)).unwrap();
        self.put(&Resource::Entries(tile).object_key(), bundle.into()).await;
        let note = self.object(Resource::Checkpoint).await;
        let origin = Checkpoint::unverified(std::str::from_utf8(&note).unwrap()).unwrap().origin;
        let tree = TreeHead { size, root: merkle::root(&leaves) };
        let text = Checkpoint { origin: origin.clone(), tree }.to_text();
        let key = NoteKey::new(&origin, self.key.public_key().as_ref().try_into().unwrap()).unwrap();
        let note = note::signed(&text, &key, self.key.sign(text.as_bytes()).as_ref());
        self.checkpoint(note.as_bytes()).await;
        note
    }
}

/// An audit with a memory of its own: exit code, and the findings as `code run`.
async fn audit(cli: &Crownest, args: &[&str]) -> (i32, Vec<String>) {
    let ended = cli.run([&["evidence", "audit", "--json"], args].concat()).await;
    assert!([0, 1, 3].contains(&ended.code), "{}", ended.stderr);
    let report = ended.data();
    assert_eq!(report["passed"], json!(ended.code == 0), "{report}");
    let findings = [&report["problems"], &report["notChecked"]].into_iter().flat_map(|list| list.as_array().unwrap());
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = findings.map(|found| format!("{} {}", word(&found["code"]), word(&found["workspaceRunId"])));
    (ended.code, findings.map(|found| found.trim_end().to_owned()).collect())
}

#[tokio::test]
async fn an_audit_names_what_was_changed_or_removed() {
    let stack = Stack::with(Options { executor: false, metering: false, ..Default::default() }).await;
    let client = stack.client();
    let operator = Operator { stack: &stack, key: signing_key() };
    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = client.create(json!({"command": "true"})).await;
        client.cancel(&run).await.expect(200);
        inclusion(&client, &run).await;
        runs.push(run);
    }
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, jwks()).unwrap();
    let cli = Crownest::of(&stack).with("XDG_STATE_HOME", folder.path().to_str().unwrap());
    let keys = ["--keys", keys.to_str().unwrap()];
    let (plain, full) = ([&keys[..]].concat(), [&keys[..], &["--full"]].concat());
    assert_eq!(audit(&cli, &full).await, (0, vec![]));
    let nothing = folder.path().join("nothing");
    let fresh = [&keys[..], &["--state", nothing.to_str().unwrap()]].concat();

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
    assert_eq!(audit(&cli, &plain).await, (3, vec![format!("evidence_replaced {}", runs[1])]));
    let other = [&keys[..], &["--run", &runs[0]]].concat();
    assert_eq!(audit(&cli, &other).await, (0, vec![]), "of another run nothing was changed");
    stack.store.delete(&key).await.unwrap();
    assert_eq!(audit(&cli, &plain).await, (3, vec![format!("evidence_missing {}", runs[1])]));
    operator.put(&key, honest).await;
    assert_eq!(audit(&cli, &plain).await, (0, vec![]));

    // The checkpoint alone: changed, gone, of another key, of yesterday.
    let tile = Tile::in_tree(0, 0, 3).unwrap();
    let (checkpoint, hashes) =
        (operator.object(Resource::Checkpoint).await, operator.object(Resource::Hashes(tile)).await);
    let text = String::from_utf8(checkpoint.to_vec()).unwrap();
    operator.checkpoint(text.replacen("\n3\n", "\n4\n", 1).as_bytes()).await;
    assert_eq!(audit(&cli, &plain).await, (3, vec!["bad_signature".to_owned()]));
    stack.store.delete(&Resource::Checkpoint.object_key()).await.unwrap();
    assert_eq!(
        audit(&cli, &[&keys[..], &["--run", "wsr_gone"]].concat()).await,
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
        audit(&cli, &[&keys[..], &["--run", "wsr_gone"]].concat()).await,
        (3, vec!["run_missing wsr_gone".to_owned(), "rolled_back".to_owned()])
    );

    // A whole log without an entry: who remembers sees it, and so does who asks for the run that is missing.
    let fork = [&entries[..1], &[b"{}".to_vec()], &entries[2..]].concat();
    operator.rewrite(&fork).await;
    assert_eq!(audit(&cli, &plain).await, (3, vec!["inconsistent".to_owned()]));
    assert_eq!(audit(&cli, &fresh).await, (3, vec![format!("not_logged {}", runs[1])]));
    std::fs::remove_file(&nothing).unwrap();

    // One entry more, for a run that had one: every proof holds, and only who reads all of it sees two.
    let twice = [&entries[..], &entries[..1]].concat();
    operator.rewrite(&twice).await;
    operator.put(&Resource::Hashes(tile).object_key(), hashes).await;
    assert_eq!(audit(&cli, &plain).await, (0, vec![]));
    assert_eq!(audit(&cli, &full).await, (3, vec!["duplicate_entry".to_owned()]));
    let last = Tile::in_tree(0, 0, 4).unwrap();
    let changed = write_bundle([&entries[1], &entries[0], &entries[2], &entries[0]].map(|entry| &entry[..])).unwrap();
    operator.put(&Resource::Entries(last).object_key(), changed.into()).await;
    let (code, findings) = audit(&cli, &full).await;
    assert_eq!((code, findings[0].as_str()), (3, "entries_changed"));

    let told = cli.run([&["evidence", "audit"], &fresh[..]].concat()).await.expect(0).text();
    assert!(told.contains("passed") && told.contains("the first audit here"), "{told}");
}
