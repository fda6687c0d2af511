//! The evidence log for readers: its objects in the store, and the proof that it has a run's entry. The collector writes
//! the log.

use std::ops::Range;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::s3::{Store, StoreError};
use schemas::merkle::leaf_hash;
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::inclusion::Inclusion;
use schemas::transparency::proof::verify_inclusion;
use schemas::transparency::range;
use schemas::transparency::tile::{Resource, Tile};
use schemas::transparency::tiles::{self, Tiles};
use tokio::sync::Semaphore;

use crate::db::collector::LoggedEntry;
use crate::http::error::{ApiError, Code};

const CONCURRENT_TILES: usize = 4;
/// Maximum concurrent reads of the store without an API key.
const PUBLIC_READS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);

/// Bounds the load that public requests put on the store.
#[derive(Debug)]
pub(crate) struct PublicReads(Semaphore);

impl Default for PublicReads {
    fn default() -> Self {
        Self(Semaphore::new(PUBLIC_READS))
    }
}

impl PublicReads {
    /// Reads an object of the log, if it exists.
    pub(crate) async fn read(&self, store: &Store, resource: Resource) -> Result<Option<Bytes>, ApiError> {
        let Ok(Ok(_permit)) = tokio::time::timeout(PATIENCE, self.0.acquire()).await else {
            return Err(ApiError::retry_after(
                Code::RateLimited,
                "Too many requests read the evidence log at this moment: try again.",
                1,
            ));
        };
        Ok(read(store, resource).await?)
    }
}

async fn read(store: &Store, resource: Resource) -> Result<Option<Bytes>, StoreError> {
    let (key, most) = (resource.object_key(), resource.max_bytes());
    let found = store.get_version(&key, most as u64 + 1).await?;
    match found.map(|version| version.body) {
        Some(body) if body.len() > most => {
            let reason = format!("expected at most {most} bytes").into();
            Err(StoreError::Request { action: "reading", key, reason })
        }
        found => Ok(found),
    }
}

/// Proves that the entry is in the tree of its checkpoint.
pub(crate) async fn inclusion(store: &Store, logged: LoggedEntry) -> anyhow::Result<Inclusion> {
    let LoggedEntry { leaf_index, entry, checkpoint } = logged;
    let Checkpoint { origin, tree } = Checkpoint::unverified(&checkpoint)?;
    let ranges = range::inclusion(leaf_index, tree.size).context("the entry is outside of the tree")?;
    let tiles = fetch(store, &ranges, tree.size).await?;
    let hashes = tiles.inclusion_proof(leaf_index).context("a tile is missing")?;
    if let Err(error) = verify_inclusion(&leaf_hash(&entry), leaf_index, tree.size, &hashes, &tree.root) {
        // The proof is given all the same: clients check proofs, and shall see that this one is wrong.
        tracing::error!(leaf_index, %error, "the tiles of the evidence log do not match the signed checkpoint");
    }
    Ok(Inclusion {
        log_origin: origin,
        leaf_index,
        tree_size: tree.size,
        entry: serde_json::from_slice(&entry).context("the entry cannot be read")?,
        hashes: hashes.iter().map(hex::encode).collect(),
        checkpoint,
    })
}

async fn fetch(store: &Store, ranges: &[Range<u64>], tree_size: u64) -> anyhow::Result<Tiles> {
    let mut tiles = Tiles::new(tree_size);
    let needed = tiles::needed(ranges, tree_size);
    let reads =
        needed.into_iter().map(|tile| async move { Ok::<_, anyhow::Error>((tile, tile_bytes(store, tile).await?)) });
    let found: Vec<(Tile, Bytes)> = stream::iter(reads).buffer_unordered(CONCURRENT_TILES).try_collect().await?;
    for (tile, bytes) in found {
        tiles.insert(tile, &bytes).with_context(|| Resource::Hashes(tile).object_key())?;
    }
    Ok(tiles)
}

/// Reads a tile, or the full one in place of a partial one that was deleted.
async fn tile_bytes(store: &Store, tile: Tile) -> anyhow::Result<Bytes> {
    if let Some(bytes) = read(store, Resource::Hashes(tile)).await? {
        return Ok(bytes);
    }
    let full = read(store, Resource::Hashes(tile.filled())).await?;
    full.with_context(|| format!("`{}` is not in the store", Resource::Hashes(tile).object_key()))
}
