//! `DELETE /v1/artifacts/{id}`: the bytes go, what was known of them stays. Deleting again changes nothing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use infra::postgres::Transaction;
use schemas::api::artifact::ArtifactAnswer;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::collector;
use crate::error::ApiError;
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
    let (response, object_key) = conclude(transaction, done).await?;
    // From here on nobody is served the bytes; what a failure leaves of them is for the collector's retention.
    if let Some(object_key) = object_key
        && let Err(error) = app.store.delete(&object_key).await
    {
        tracing::warn!(object_key, %error, "the bytes of a deleted artifact are still stored");
    }
    Ok(response)
}

/// The answer, and the key of the object that goes.
async fn delete(
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    id: &ArtifactId,
) -> Result<(Response, Option<String>), ApiError> {
    let attempt = match key.begin(transaction, caller, ROUTE, &[id.as_str()]).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok((response, None)),
    };
    super::find(transaction, caller, id).await?;
    let deleted = collector::delete_artifact(transaction, caller.org(), id).await?;
    let artifact = deleted.ok_or_else(|| ApiError::not_found("artifact"))?;
    let object_key = artifact.object_key.clone();
    let response = attempt.finish(transaction, StatusCode::OK, &ArtifactAnswer { artifact }).await?;
    Ok((response, Some(object_key)))
}
