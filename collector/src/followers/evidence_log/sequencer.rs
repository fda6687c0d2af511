//! The one writer of the evidence log: gives sealed runs their entries, writes the objects by which the tree grows,
//! signs, publishes. Each step is repeated after a crash, to the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use database::Client;
use infra::s3::Store;
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::entry::{Entry, run_digest};
use schemas::transparency::note::{self, NoteKey};
use schemas::transparency::proof::TreeHead;
use schemas::transparency::tile::FULL_WIDTH;

use super::config::EvidenceLogConfig;
use super::metrics::EvidenceLogMetrics;
use super::objects;
use super::tail::Tail;
use crate::db::log_checkpoints::SignedTree;
use crate::db::log_entries::Unlogged;
use crate::db::{log_checkpoints, log_entries, signing_keys};
use crate::signing::Signer;

/// Maximum number of entries that are added at once.
pub(super) const GROUP: usize = 4096;
/// Time for which clients may go on with an earlier checkpoint before they need full tiles instead of its partial ones.
const PARTIAL_RETENTION: Duration = Duration::from_secs(600);
/// Earlier trees that are tidied up after one group.
const OUTGROWN: i64 = 32;

#[derive(Debug)]
pub(crate) struct EvidenceLog {
    pub store: Store,
    pub signer: Arc<Signer>,
    pub config: EvidenceLogConfig,
    pub metrics: EvidenceLogMetrics,
}

/// The state of the log, owned by the session that holds the lock.
pub(super) struct Sequencer<'a> {
    log: &'a EvidenceLog,
    /// The session that holds the lock: without it nothing can be assigned or signed.
    client: Client,
    key: NoteKey,
    /// This collector's key, and those that have signed the log before.
    public_keys: Vec<[u8; 32]>,
    tail: Tail,
}

impl<'a> Sequencer<'a> {
    /// Resumes where the last writer stopped: the signed tree is the truth, and the store must have it.
    pub(super) async fn resume(log: &'a EvidenceLog, client: Client) -> anyhow::Result<Self> {
        let latest = log_checkpoints::latest(&client).await?;
        let origin = match &latest {
            Some(signed) => Checkpoint::unverified(&signed.checkpoint)?.origin,
            None => log.config.log_origin.clone().unwrap_or_else(|| log.config.default_origin()),
        };
        if let Some(configured) = log.config.log_origin.as_ref().filter(|configured| **configured != origin) {
            anyhow::bail!("--log-origin: the log is called `{origin}` since its first entry, got `{configured}`");
        }
        let key = NoteKey::new(&origin, *log.signer.public_key().bytes())?;
        // The key is stored before its first signature, so that every reader can verify that.
        let public_keys = signing_keys::add(&client, log.signer.public_key().bytes()).await?;
        let mut sequencer = Self { log, client, key, public_keys, tail: Tail::default() };
        if let Some(signed) = latest {
            sequencer.tail = sequencer.read_tail(signed.tree).await?;
            // The last writer may have signed it without publishing it.
            objects::publish(&log.store, &signed.checkpoint, &sequencer.public_keys).await?;
            log.metrics.size.set(i64::try_from(signed.tree.size)?);
        } else {
            let nothing = Checkpoint { origin, tree: sequencer.tail.tree() };
            objects::published(&log.store, &nothing, &sequencer.public_keys).await?;
        }
        Ok(sequencer)
    }

    async fn read_tail(&self, tree: TreeHead) -> anyhow::Result<Tail> {
        let edge = objects::read_edge(&self.log.store, tree.size).await?;
        let found = edge.root();
        anyhow::ensure!(
            found == tree.root,
            "the tiles in the store have root {}, but {} was signed for {} entries: they were changed",
            hex::encode(found),
            hex::encode(tree.root),
            tree.size
        );
        let partial = usize::try_from(tree.size % FULL_WIDTH)?;
        let entries = log_entries::from(&self.client, tree.size - partial as u64, partial).await?;
        anyhow::ensure!(entries.len() == partial, "the database lacks the last entries of the log");
        Ok(Tail { edge, entries })
    }

    /// Adds one group of entries; returns their number.
    pub(super) async fn step(&mut self) -> anyhow::Result<usize> {
        let size = self.tail.edge.size();
        let begun = Instant::now();
        // A crash left entries that have an index and are in no signed tree: they go first, as the group that they
        // were.
        let mut entries = log_entries::from(&self.client, size, GROUP).await?;
        if entries.is_empty() {
            entries = self.assign(size).await?;
        }
        let added = entries.len();
        if added > 0 {
            let grown = self.tail.append(entries)?;
            objects::write(&self.log.store, grown).await?;
            let signed = self.sign().await?;
            log_checkpoints::insert(&self.client, &signed).await?;
            objects::publish(&self.log.store, &signed.checkpoint, &self.public_keys).await?;
            self.log.metrics.size.set(i64::try_from(signed.tree.size)?);
            self.log.metrics.group_seconds.observe(begun.elapsed().as_secs_f64());
        }
        self.tidy().await?;
        Ok(added)
    }

    /// Gives entries to sealed runs that have none.
    async fn assign(&mut self, first_index: u64) -> anyhow::Result<Vec<Vec<u8>>> {
        let transaction = self.client.transaction().await?;
        let runs = log_entries::unlogged(&transaction, GROUP).await?;
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let entries = runs.iter().map(entry).collect::<anyhow::Result<Vec<_>>>()?;
        log_entries::append(&transaction, first_index, &runs, &entries).await?;
        transaction.commit().await?;
        Ok(entries)
    }

    async fn sign(&self) -> anyhow::Result<SignedTree> {
        let checkpoint = Checkpoint { origin: self.key.name().to_owned(), tree: self.tail.tree() };
        let text = checkpoint.to_text();
        let note = note::signed(&text, &self.key, &self.log.signer.sign(text.as_bytes()).await?);
        Ok(SignedTree { tree: checkpoint.tree, checkpoint: note })
    }

    async fn tidy(&self) -> anyhow::Result<()> {
        let size = self.tail.edge.size();
        let outgrown = log_checkpoints::outgrown(&self.client, size, PARTIAL_RETENTION, OUTGROWN).await?;
        if !outgrown.is_empty() {
            objects::delete_partial(&self.log.store, &outgrown).await?;
            log_checkpoints::forget(&self.client, &outgrown).await?;
        }
        Ok(())
    }
}

fn entry(run: &Unlogged) -> anyhow::Result<Vec<u8>> {
    let entry = Entry {
        attestation_sha256: run.attestation_sha256.clone(),
        evidence_sha256: run.evidence_sha256.clone(),
        run_sha256: run_digest(&run.run_id),
        sealed_at: run.sealed_at,
        others: BTreeMap::new(),
    };
    Ok(entry.to_bytes()?)
}
