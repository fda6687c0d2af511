//! `GET /v1/workspace-runs/{id}/evidence/inclusion`: the proof that the evidence log has this run's evidence.

use axum::Json;
use axum::extract::State;
use schemas::api::inclusion::InclusionAnswer;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::db::collector;
use crate::evidence_log;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<RunId>,
) -> Result<Json<InclusionAnswer>, ApiError> {
    caller.require(Scope::WorkspaceRunRead)?;
    let client = app.pool.get().await?;
    super::find(&client, &caller, &id).await?;
    let Some(logged) = collector::logged_entry(&client, &id).await? else {
        let message = match collector::evidence_key(&client, &id).await? {
            Some(_) => "The evidence of this run is not in the log yet: it follows within seconds, ask again.",
            None => super::NOT_SEALED,
        };
        return Err(ApiError::new(Code::NotFound, message));
    };
    drop(client);
    let inclusion = evidence_log::inclusion(&app.store, logged).await.map_err(ApiError::internal)?;
    Ok(Json(InclusionAnswer { inclusion }))
}
