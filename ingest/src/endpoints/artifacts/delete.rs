//! `DELETE /v1/artifacts/{id}`: deletes the bytes and keeps the record of them. Deleting again changes nothing.

use axum::response::Response;
use schemas::api::artifact::ArtifactAnswer;
use schemas::id::ArtifactId;
use schemas::scope::Scope;

use crate::db::collector;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::ARTIFACT_ID;
use crate::operation::{Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed = Operation::delete(
    "/v1/artifacts/{id}",
    "deleteArtifact",
    "Delete the bytes of an artifact; the record of it stays",
)
.scope(Scope::ArtifactDelete)
.takes(&[ARTIFACT_ID])
.answers(200, json::<ArtifactAnswer>(examples::artifact_answer))
.errors(&[Code::LegalHold])
.keyed();

/// From the commit on nobody is served the bytes; the collector leaves a tombstone for them and deletes them.
pub(crate) async fn handle(change: Change, PathId(id): PathId<ArtifactId>) -> Result<Response, ApiError> {
    let caller = &change.caller;
    change
        .once(&[id.as_str()], async |transaction| {
            super::find(transaction, caller, &id).await?;
            let found = collector::delete_artifact(transaction, caller.org(), &id, caller.credential()).await?;
            let artifact = found.ok_or_else(|| ApiError::not_found("artifact"))?;
            if artifact.deleted_at.is_none() {
                let message =
                    "This artifact is under a legal hold: it cannot be deleted until the operator has cleared it.";
                return Err(ApiError::new(Code::LegalHold, message));
            }
            Ok(ArtifactAnswer { artifact })
        })
        .await
}
