//! Objects that never change: a repeated write must have the same bytes.

use bytes::Bytes;
use infra::s3::{Put, Store};
use sha2::{Digest, Sha256};

/// Writes an object, unless the store has it. Fails if the store has other bytes under this key.
pub(crate) async fn put_once(store: &Store, key: &str, body: Bytes, content_type: &str) -> anyhow::Result<()> {
    if store.put_new(key, body.clone(), content_type).await? == Put::Exists {
        let present = store.get(key).await?;
        anyhow::ensure!(
            Sha256::digest(&present) == Sha256::digest(&body),
            "object `{key}` exists with other content ({} bytes, expected {})",
            present.len(),
            body.len()
        );
    }
    Ok(())
}
