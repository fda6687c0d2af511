//! `GET /v1/workspace-runs/{id}/evidence/inclusion`: the proof that the evidence log has this run's evidence.

use axum::Json;
use schemas::api::inclusion::InclusionAnswer;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::db::collector;
use crate::endpoints::runs;
use crate::evidence_log;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::RUN_ID;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation = Operation::get(
    "/v1/workspace-runs/{id}/evidence/inclusion",
    "getEvidenceInclusion",
    "The proof that the evidence log has the Evidence Bundle of a run; a few seconds after it was sealed",
)
.scope(Scope::WorkspaceRunRead)
.takes(&[RUN_ID])
.answers(200, json::<InclusionAnswer>(examples::inclusion_answer));

pub(crate) async fn handle(call: Call, PathId(id): PathId<RunId>) -> Result<Json<InclusionAnswer>, ApiError> {
    let client = call.app.pool.get().await?;
    runs::find(&client, &call.caller, &id).await?;
    let Some(logged) = collector::logged_entry(&client, &id).await? else {
        let message = match collector::evidence_key(&client, &id).await? {
            Some(_) => "The evidence of this run is not in the log yet: it follows within seconds, ask again.",
            None => super::NOT_SEALED,
        };
        return Err(ApiError::new(Code::NotFound, message));
    };
    drop(client);
    let inclusion = evidence_log::inclusion(&call.app.store, logged).await.map_err(ApiError::internal)?;
    Ok(Json(InclusionAnswer { inclusion }))
}
