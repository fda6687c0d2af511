//! `collector.signing_keys`: every public key that has signed here; what it signed stays verifiable.

use anyhow::Context;
use database::GenericClient;

/// Adds the key, and returns all.
pub(crate) async fn add(client: &impl GenericClient, public_key: &[u8; 32]) -> anyhow::Result<Vec<[u8; 32]>> {
    let sql = "insert into collector.signing_keys (public_key) values ($1) on conflict do nothing";
    client.execute(&client.prepare_cached(sql).await?, &[&&public_key[..]]).await?;
    let sql = "select public_key from collector.signing_keys order by added_at";
    let rows = client.query(&client.prepare_cached(sql).await?, &[]).await?;
    rows.iter().map(|row| row.get::<_, &[u8]>(0).try_into().context("a public key has 32 bytes")).collect()
}
