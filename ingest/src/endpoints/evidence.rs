//! Everything that proves what a run was: its bundle, its statements, its log, and the public evidence log of all runs.

pub(super) mod attestations;
pub(super) mod event_log_part;
pub(super) mod get;
pub(super) mod inclusion;
pub(super) mod jwks;
pub(super) mod log;

use database::GenericClient;
use schemas::id::RunId;

use super::runs;
use crate::auth::Caller;
use crate::db::collector;
use crate::http::error::{ApiError, Code};

const NOT_SEALED: &str = "The evidence of this run does not exist yet: it is sealed and signed when the run is over.";

/// Key of the Evidence Bundle of a run that the caller may see; its folder has everything else that was sealed.
async fn sealed_key(client: &impl GenericClient, caller: &Caller, id: &RunId) -> Result<String, ApiError> {
    runs::find(client, caller, id).await?;
    let key = collector::evidence_key(client, id).await?;
    key.ok_or_else(|| ApiError::new(Code::NotFound, NOT_SEALED))
}
