//! Table `ingest.run_env`: the encrypted environment variables of unfinished runs. Claims hand them out.

use database::GenericClient;
use database::row::{DbError, execute};
use schemas::id::RunId;

pub(crate) async fn insert(client: &impl GenericClient, run: &RunId, sealed: &[u8]) -> Result<(), DbError> {
    let sql = "insert into ingest.run_env (run_id, sealed) values ($1, $2)";
    execute(client, sql, &[&run.as_str(), &sealed]).await?;
    Ok(())
}
