//! `collector.log_checkpoints`: trees that the evidence log has vouched for. The database refuses one that is not larger.

use std::time::Duration;

use anyhow::Context;
use database::GenericClient;
use schemas::transparency::proof::TreeHead;

use super::{from_sql, to_sql};

#[derive(Debug, Clone)]
pub(crate) struct SignedTree {
    pub tree: TreeHead,
    /// The signed note.
    pub checkpoint: String,
}

pub(crate) async fn latest(client: &impl GenericClient) -> anyhow::Result<Option<SignedTree>> {
    let sql = "select tree_size, root_hash, checkpoint from collector.log_checkpoints order by tree_size desc limit 1";
    let row = client.query_opt(&client.prepare_cached(sql).await?, &[]).await?;
    row.map(|row| {
        let root = row.get::<_, &[u8]>("root_hash").try_into().context("a root hash has 32 bytes")?;
        let tree = TreeHead { size: from_sql(row.get("tree_size")), root };
        Ok(SignedTree { tree, checkpoint: row.get("checkpoint") })
    })
    .transpose()
}

pub(crate) async fn insert(client: &impl GenericClient, signed: &SignedTree) -> anyhow::Result<()> {
    let sql = "insert into collector.log_checkpoints (tree_size, root_hash, checkpoint) values ($1, $2, $3)";
    let statement = client.prepare_cached(sql).await?;
    let root = &signed.tree.root[..];
    client.execute(&statement, &[&to_sql(signed.tree.size), &root, &signed.checkpoint]).await?;
    Ok(())
}

/// Sizes of earlier trees whose last bundle has been full for a while.
pub(crate) async fn outgrown(
    client: &impl GenericClient,
    tree_size: u64,
    age: Duration,
    limit: i64,
) -> anyhow::Result<Vec<u64>> {
    let sql = "select tree_size from collector.log_checkpoints
               where tree_size < $1 and signed_at < clock_timestamp() - make_interval(secs => $2)
               order by tree_size limit $3";
    let statement = client.prepare_cached(sql).await?;
    let full = to_sql(tree_size & !0xff);
    let rows = client.query(&statement, &[&full, &age.as_secs_f64(), &limit]).await?;
    Ok(rows.iter().map(|row| from_sql(row.get("tree_size"))).collect())
}

pub(crate) async fn forget(client: &impl GenericClient, sizes: &[u64]) -> anyhow::Result<()> {
    let sizes: Vec<i64> = sizes.iter().copied().map(to_sql).collect();
    let sql = "delete from collector.log_checkpoints where tree_size = any($1)";
    client.execute(&client.prepare_cached(sql).await?, &[&sizes]).await?;
    Ok(())
}
