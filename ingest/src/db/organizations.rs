//! Table `ingest.organizations`: the tenants.

use infra::postgres::GenericClient;
use schemas::id::OrgId;

use super::{DbError, execute};

pub(crate) async fn insert(client: &impl GenericClient, org: &OrgId, name: &str) -> Result<(), DbError> {
    execute(client, "insert into ingest.organizations (id, name) values ($1, $2)", &[&org.as_str(), &name]).await?;
    Ok(())
}
