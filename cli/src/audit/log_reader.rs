//! The tiles of one tree: fetched when a proof needs them, and kept.

use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use schemas::merkle::Hash;
use schemas::transparency::proof::TreeHead;
use schemas::transparency::range;
use schemas::transparency::tile::{Resource, Tile};
use schemas::transparency::tiles::{self, Tiles};

use crate::client::Client;
use crate::failure::Failure;

pub(super) const CONCURRENT: usize = 8;

#[derive(Debug)]
pub(crate) struct LogReader<'a> {
    client: &'a Client,
    pub tree: TreeHead,
    tiles: Tiles,
}

impl<'a> LogReader<'a> {
    pub(crate) fn new(client: &'a Client, tree: TreeHead) -> Self {
        Self { client, tree, tiles: Tiles::new(tree.size) }
    }

    /// `None` if the tree cannot have the leaf.
    pub(crate) async fn inclusion_proof(&mut self, leaf_index: u64) -> Result<Option<Vec<Hash>>, Failure> {
        let Some(ranges) = range::inclusion(leaf_index, self.tree.size) else { return Ok(None) };
        self.fetch(&ranges).await?;
        Ok(self.tiles.inclusion_proof(leaf_index))
    }

    /// `None` if the tree is smaller.
    pub(crate) async fn consistency_proof(&mut self, old_size: u64) -> Result<Option<Vec<Hash>>, Failure> {
        let Some(ranges) = range::consistency(old_size, self.tree.size) else { return Ok(None) };
        self.fetch(&ranges).await?;
        Ok(self.tiles.consistency_proof(old_size))
    }

    async fn fetch(&mut self, ranges: &[Range<u64>]) -> Result<(), Failure> {
        let missing: Vec<Tile> =
            tiles::needed(ranges, self.tree.size).into_iter().filter(|tile| !self.tiles.has(*tile)).collect();
        let client = self.client;
        let fetches = missing.into_iter().map(|tile| async move {
            Ok::<_, Failure>((tile, or_full(client, Resource::Hashes(tile), Resource::Hashes(tile.filled())).await?))
        });
        let found: Vec<_> = stream::iter(fetches).buffer_unordered(CONCURRENT).try_collect().await?;
        for (tile, bytes) in found {
            let inserted = self.tiles.insert(tile, &bytes);
            inserted.map_err(|error| Failure::invalid_answer(format!("{}: {error}", Resource::Hashes(tile))))?;
        }
        Ok(())
    }
}

/// A partial tile may be gone once there is a full one.
pub(super) async fn or_full(client: &Client, partial: Resource, full: Resource) -> Result<bytes::Bytes, Failure> {
    match client.log_resource(partial).await {
        Err(failure) if failure.status == Some(404) && partial != full => client.log_resource(full).await,
        answer => answer,
    }
}
