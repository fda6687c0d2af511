//! `DELETE /v1/artifacts/{id}`: the bytes go, what was known of them stays. Deleting again changes nothing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use database::Transaction;
use schemas::api::artifact::ArtifactAnswer;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::collector;
use crate::error::{ApiError, Code};
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::path_id::PathId;

const ROUTE: (&str, &str) = ("DELETE", "/v1/artifacts/{id}");

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId<ArtifactId>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ArtifactDelete)?;
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = delete(&transaction, &caller, &key, &id).await;
    // From here on nobody is served the bytes; the collector leaves a tombstone for them and deletes them.
    conclude(transaction, done).await
}

async fn delete(
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    id: &ArtifactId,
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ROUTE, &[id.as_str()]).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    super::find(transaction, caller, id).await?;
    let found = collector::delete_artifact(transaction, caller.org(), id, caller.credential()).await?;
    let artifact = found.ok_or_else(|| ApiError::not_found("artifact"))?;
    if artifact.deleted_at.is_none() {
        let message = "This artifact is under a legal hold: it cannot be deleted until the operator has cleared it.";
        return Err(ApiError::new(Code::LegalHold, message));
    }
    attempt.finish(transaction, StatusCode::OK, &ArtifactAnswer { artifact }).await
}
