//! Table `ingest.archives`: the verified archives of each organization in the object store.

use database::GenericClient;
use database::row::{DbError, execute, optional, signed};
use schemas::id::OrgId;

use crate::archive::Declared;

/// Says whether the organization has exactly these bytes.
pub(crate) async fn exists(client: &impl GenericClient, org: &OrgId, archive: &Declared) -> Result<bool, DbError> {
    let sql = "select 1 from ingest.archives where org_id = $1 and sha256 = $2 and size_bytes = $3";
    let found = optional(client, sql, &[&org.as_str(), &archive.sha256, &signed(archive.size_bytes)]).await?;
    Ok(found.is_some())
}

pub(crate) async fn insert(client: &impl GenericClient, org: &OrgId, archive: &Declared) -> Result<(), DbError> {
    let sql = "insert into ingest.archives (org_id, sha256, size_bytes) values ($1, $2, $3) on conflict do nothing";
    execute(client, sql, &[&org.as_str(), &archive.sha256, &signed(archive.size_bytes)]).await?;
    Ok(())
}
