//! `collector.signing_keys`: every public key that has signed here, so that its signatures stay verifiable.

use anyhow::Context as _;
use database::GenericClient;

use super::{execute, rows};

/// Adds the key, and returns all keys.
pub(crate) async fn add(client: &impl GenericClient, public_key: &[u8; 32]) -> anyhow::Result<Vec<[u8; 32]>> {
    let sql = "insert into collector.signing_keys (public_key) values ($1) on conflict do nothing";
    execute(client, sql, &[&&public_key[..]]).await?;
    let found = rows(client, "select public_key from collector.signing_keys order by added_at", &[]).await?;
    found.iter().map(|row| row.try_get::<_, &[u8]>(0)?.try_into().context("a public key has 32 bytes")).collect()
}
