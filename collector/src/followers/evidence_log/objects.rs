//! The log in the object store: tiles and bundles are written once, the checkpoint only ever gives way to a larger one.

use anyhow::Context as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::s3::{Put, Store, StoreError, Version};
use schemas::transparency::checkpoint::Checkpoint;
use schemas::transparency::note::MAX_BYTES;
use schemas::transparency::tile::{FULL_WIDTH, Resource, Tile};
use schemas::transparency::tree::{Edge, FilledTile};

use super::tail::Object;
use crate::put_once::put_once;

const CONCURRENT_WRITES: usize = 8;
/// Number of times that another writer may be quicker, until something is wrong.
const TRIES: usize = 5;

/// Writes objects that never change. An object that is there already must have the same bytes.
pub(super) async fn write(store: &Store, objects: Vec<Object>) -> anyhow::Result<()> {
    let writes = objects.into_iter().map(|object| async move {
        put_once(store, &object.resource.object_key(), object.body, object.resource.content_type()).await
    });
    stream::iter(writes).buffer_unordered(CONCURRENT_WRITES).try_collect().await
}

/// Reads the edge of a tree of this size; the caller compares its root.
pub(super) async fn read_edge(store: &Store, tree_size: u64) -> anyhow::Result<Edge> {
    let mut tiles = Vec::new();
    for tile in Edge::tiles(tree_size) {
        let bytes = store.get(&Resource::Hashes(tile).object_key()).await.context("the end of the evidence log")?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        let path = Resource::Hashes(tile);
        anyhow::ensure!(rest.is_empty() && hashes.len() == tile.width(), "`{path}` has {} bytes", bytes.len());
        tiles.push(FilledTile { tile, hashes: hashes.to_vec() });
    }
    Ok(Edge::restore(tree_size, tiles))
}

/// Returns the published checkpoint, if there is one. Fails if one of the keys signed it and our log does not begin
/// with it: a writer that was overtaken, or whose database was set back, must not undo or contradict what was told to
/// the world.
pub(super) async fn published(store: &Store, ours: &Checkpoint, keys: &[[u8; 32]]) -> anyhow::Result<Option<Version>> {
    let present = store.get_version(&Resource::Checkpoint.object_key(), MAX_BYTES as u64 + 1).await?;
    let note = present.as_ref().and_then(|present| std::str::from_utf8(&present.body).ok()).unwrap_or_default();
    // A checkpoint that none of our keys signed is rubbish, and is replaced.
    if let Ok(Checkpoint { tree, .. }) = Checkpoint::verified(note, &ours.origin, keys) {
        let ours = ours.tree;
        anyhow::ensure!(
            tree.size < ours.size || tree == ours,
            "the store has a checkpoint of {} entries, and the database one of {}: they are not the same log",
            tree.size,
            ours.size
        );
    }
    Ok(present)
}

/// Puts the checkpoint in place of a smaller one.
pub(super) async fn publish(store: &Store, checkpoint: &str, keys: &[[u8; 32]]) -> anyhow::Result<()> {
    let ours = Checkpoint::unverified(checkpoint)?;
    let (key, content_type) = (Resource::Checkpoint.object_key(), Resource::Checkpoint.content_type());
    for _ in 0..TRIES {
        let body = checkpoint.to_owned().into();
        let put = match published(store, &ours, keys).await? {
            Some(present) if present.body == checkpoint.as_bytes() => return Ok(()),
            Some(present) => store.replace(&present, &key, body, content_type).await?,
            None => store.put_new(&key, body, content_type).await?,
        };
        if put == Put::Created {
            return Ok(());
        }
    }
    anyhow::bail!("others changed the checkpoint {TRIES} times while it was being published")
}

/// Deletes the partial tiles and bundles of trees of these sizes, now that the full ones are there.
pub(super) async fn delete_partial(store: &Store, tree_sizes: &[u64]) -> Result<(), StoreError> {
    for size in tree_sizes {
        let partial = Tile::in_tree(0, size / FULL_WIDTH, *size);
        for resource in partial.into_iter().flat_map(|tile| [Resource::Hashes(tile), Resource::Entries(tile)]) {
            store.delete(&resource.object_key()).await?;
        }
    }
    Ok(())
}
