//! The log of all evidence: every sealed run gets into it, proofs lead to signed roots, and crashes change no byte.

use std::collections::{BTreeMap, BTreeSet};

use schemas::attestation::jwks::JwkSet;
use schemas::merkle::{self, leaf_hash};
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::entry::{read_bundle, run_digest};
use schemas::transparency::inclusion::{Inclusion, Logged};
use schemas::transparency::tile::{Resource, Tile};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Client, Options, Stack, archive, eventually};

/// The log's public keys, from where everybody gets them.
async fn public_keys(client: &Client) -> Vec<[u8; 32]> {
    let set: JwkSet = serde_json::from_value(client.without_key().get("/.well-known/jwks.json").await.expect(200))
        .expect("a JWK set");
    set.ed25519_keys().expect("well-formed keys")
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

/// Reads the public log as anybody can, checks the bundles against the signed root, and returns the entries.
async fn monitor(client: &Client, at_least: u64) -> Vec<Value> {
    let anybody = client.without_key();
    let (note, tree) = eventually("the checkpoint", async || {
        let answer = anybody.get("/tlog/checkpoint").await;
        let note = answer.body.as_str().filter(|_| answer.status == 200)?.to_owned();
        let checkpoint = Checkpoint::unverified(&note).expect("a checkpoint");
        (checkpoint.tree.size >= at_least).then_some((note, checkpoint))
    })
    .await;
    Checkpoint::verified(&note, &tree.origin, &public_keys(client).await).expect("a signed one");
    let (mut entries, mut leaves) = (Vec::new(), Vec::new());
    for index in 0.. {
        let Some(tile) = Tile::in_tree(0, index, tree.tree.size) else { break };
        let bundle = anybody.bytes(&format!("/tlog/{}", Resource::Entries(tile))).await;
        let hashes = anybody.bytes(&format!("/tlog/{}", Resource::Hashes(tile))).await;
        let bundle = read_bundle(tile, &bundle).expect("a bundle");
        let hashed: Vec<_> = bundle.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(hashed.concat(), hashes, "tile {index}");
        entries.extend(bundle.iter().map(|entry| serde_json::from_slice::<Value>(entry).expect("an entry")));
        leaves.extend(hashed);
    }
    assert_eq!(merkle::root(&leaves), tree.tree.root);
    entries
}

/// Seals runs that never existed, for the log to take in.
async fn seal(stack: &Stack, from: i64, count: i64) {
    let sql = "insert into collector.seals (run_id, ending, decided_at, last_seq, sealed_at, evidence_sha256)
               select 'wsr_' || n, '{}', now() + make_interval(secs => n * 0.001), 1, now(), encode(sha256(n::text::bytea), 'hex')
               from generate_series($1::int8, $1 + $2 - 1) as n";
    let client = stack.admin.get().await.expect("the database answers");
    client.execute(sql, &[&from, &count]).await.expect("rows");
}

/// Size and root of every signed tree in the database.
async fn signed_trees(stack: &Stack) -> BTreeMap<i64, Vec<u8>> {
    let sql = "select tree_size, root_hash from collector.log_checkpoints";
    let client = stack.admin.get().await.expect("the database answers");
    let rows = client.query(sql, &[]).await.expect("rows");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn killed_writers_leave_one_log_with_every_run_once() {
    let options = Options { collector: false, executor: false, metering: false, ..Default::default() };
    let stack = Stack::with(options).await;
    let (mut sealed, mut trees) = (0, BTreeMap::new());
    // One collector writes, the other waits for its turn, and each is killed at some time.
    let mut collectors = [stack.spawn_collector(), stack.spawn_collector()];
    for round in 0..4 {
        seal(&stack, sealed, 700).await;
        sealed += 700;
        eventually("the log grows", async || (signed_trees(&stack).await.len() > trees.len()).then_some(())).await;
        trees = signed_trees(&stack).await;
        seal(&stack, sealed, 5000).await;
        sealed += 5000;
        let assigned = "select count(*) from collector.log_entries";
        let database = stack.admin.get().await.unwrap();
        let before: i64 = database.query_one(assigned, &[]).await.unwrap().get(0);
        // Kill in the middle of a batch, which has its indexes while its objects are being written.
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
    // Every tree that was ever signed is a prefix of the log.
    let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(&schemas::canonical::to_vec(entry).unwrap())).collect();
    for (size, root) in signed_trees(&stack).await {
        assert_eq!(merkle::root(&leaves[..usize::try_from(size).unwrap()])[..], root[..], "{size}");
    }
}

async fn database(stack: &Stack, sql: &str) {
    stack.admin.get().await.expect("the database answers").batch_execute(sql).await.expect("it is done");
}

async fn checkpoint(stack: &Stack) -> Option<String> {
    let found = stack.store.get_version(&Resource::Checkpoint.object_key(), 4096).await.expect("the store answers");
    found.map(|version| String::from_utf8(version.body.to_vec()).expect("a note"))
}

#[tokio::test]
async fn whatever_a_crash_left_is_finished_to_the_same_bytes() {
    let options = Options { collector: false, executor: false, metering: false, ..Default::default() };
    let stack = Stack::with(options).await;
    let logged = async |size: i64| {
        eventually("the log has this size", async || {
            checkpoint(&stack).await.filter(|note| note.contains(&format!("\n{size}\n")))
        })
        .await
    };
    seal(&stack, 0, 250).await;
    let mut collector = stack.spawn_collector();
    let small = logged(250).await;
    collector.kill().await;

    // The batch has its indexes, but nothing is in the store. More runs have been sealed since.
    seal(&stack, 250, 17).await;
    let assigned = "insert into collector.log_entries
        select row_number() over (order by run_id) + 249, run_id, convert_to('{\"runSha256\":\"' || run_id || '\"}', 'utf8')
        from (select run_id from collector.seals where not logged order by run_id limit 10) as ten;
        update collector.seals set logged = true where run_id in (select run_id from collector.log_entries)";
    database(&stack, assigned).await;
    seal(&stack, 267, 3).await;
    let mut collector = stack.spawn_collector();
    let note = logged(270).await;
    collector.kill().await;
    let sizes: Vec<i64> = signed_trees(&stack).await.into_keys().collect();
    assert_eq!(sizes, [250, 260, 270], "what had its indexes is a batch of its own");

    // The checkpoint is signed but not published; or not even signed, with everything else in the store.
    for left in ["select 1", "delete from collector.log_checkpoints where tree_size = 270"] {
        database(&stack, left).await;
        let key = Resource::Checkpoint.object_key();
        stack.store.delete(&key).await.unwrap();
        stack.store.put_new(&key, small.clone().into(), "text/plain").await.unwrap();
        let mut collector = stack.spawn_collector();
        assert_eq!(logged(270).await, note);
        collector.kill().await;
    }

    // Later, partial tiles of the tree of 250 entries are removed; a holder of that checkpoint takes the full tile.
    database(&stack, "update collector.log_checkpoints set signed_at = now() - interval '1 hour'").await;
    let mut collector = stack.spawn_collector();
    let partial = Tile::in_tree(0, 0, 250).unwrap();
    eventually("the partial tile is gone", async || {
        let left = stack.store.size(&Resource::Entries(partial).object_key()).await.unwrap();
        left.is_none().then_some(())
    })
    .await;
    let entries = monitor(&stack.client(), 270).await;
    assert_eq!(entries.len(), 270);
    assert!(entries[250..260].iter().all(|entry| entry["runSha256"].as_str().unwrap().starts_with("wsr_")));
    let sizes: Vec<i64> = signed_trees(&stack).await.into_keys().collect();
    assert_eq!(sizes, [260, 270], "the last bundle of these is not full yet");

    // Another key takes over; statements by the first one can still be verified.
    collector.kill().await;
    let _collector = stack.spawn_collector_with_key(&collector::signing::generate().unwrap());
    seal(&stack, 270, 1).await;
    let rotated = logged(271).await;
    let keys = public_keys(&stack.client()).await;
    let signed_by =
        |note: &str, keys: &[[u8; 32]]| Checkpoint::verified(note, note.lines().next().unwrap(), keys).is_ok();
    assert!(keys.len() == 2 && signed_by(&small, &keys) && signed_by(&rotated, &keys));
    assert!(!signed_by(&rotated, &keys[..1]) && signed_by(&small, &keys[..1]));
}
