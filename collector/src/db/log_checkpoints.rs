//! `collector.log_checkpoints`: trees that the evidence log has signed. The database refuses one that is not larger.

use std::time::Duration;

use anyhow::Context as _;
use database::GenericClient;
use schemas::transparency::proof::TreeHead;

use super::{DbError, execute, optional, rows, signed, unsigned};

#[derive(Debug, Clone)]
pub(crate) struct SignedTree {
    pub tree: TreeHead,
    /// The signed note.
    pub checkpoint: String,
}

pub(crate) async fn latest(client: &impl GenericClient) -> anyhow::Result<Option<SignedTree>> {
    let sql = "select tree_size, root_hash, checkpoint from collector.log_checkpoints order by tree_size desc limit 1";
    let Some(row) = optional(client, sql, &[]).await? else { return Ok(None) };
    let root = row.try_get::<_, &[u8]>("root_hash")?.try_into().context("a root hash has 32 bytes")?;
    let tree = TreeHead { size: unsigned(&row, "tree_size")?, root };
    Ok(Some(SignedTree { tree, checkpoint: row.try_get("checkpoint")? }))
}

pub(crate) async fn insert(client: &impl GenericClient, tree: &SignedTree) -> Result<(), DbError> {
    let sql = "insert into collector.log_checkpoints (tree_size, root_hash, checkpoint) values ($1, $2, $3)";
    execute(client, sql, &[&signed(tree.tree.size), &&tree.tree.root[..], &tree.checkpoint]).await.map(drop)
}

/// Sizes of earlier trees whose last bundle has been full for a while.
pub(crate) async fn outgrown(
    client: &impl GenericClient,
    tree_size: u64,
    age: Duration,
    limit: i64,
) -> Result<Vec<u64>, DbError> {
    let sql = "select tree_size from collector.log_checkpoints
               where tree_size < $1 and signed_at < clock_timestamp() - make_interval(secs => $2)
               order by tree_size limit $3";
    let full = signed(tree_size & !0xff);
    let found = rows(client, sql, &[&full, &age.as_secs_f64(), &limit]).await?;
    found.iter().map(|row| unsigned(row, "tree_size")).collect()
}

pub(crate) async fn forget(client: &impl GenericClient, sizes: &[u64]) -> Result<(), DbError> {
    let sizes: Vec<i64> = sizes.iter().copied().map(signed).collect();
    let sql = "delete from collector.log_checkpoints where tree_size = any($1)";
    execute(client, sql, &[&sizes]).await.map(drop)
}
