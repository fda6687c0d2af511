//! `GET /v1/workspace-runs/{id}/attestations`: the signed statements about a run, as they are stored.

use axum::Json;
use axum::extract::State;
use infra::s3::StoreError;
use schemas::api::attestations::{Attestation, AttestationList};
use schemas::attestation::dsse::Envelope;
use schemas::attestation::predicate::{RUN_EVIDENCE, SLSA_PROVENANCE, TEST_RESULT};
use schemas::id::RunId;
use schemas::layout;
use schemas::scope::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;

/// Beside the bundle; only the first is there for every run.
const STATEMENTS: [(&str, &str); 3] =
    [(layout::ATTESTATION, RUN_EVIDENCE), (layout::PROVENANCE, SLSA_PROVENANCE), (layout::TEST_RESULT, TEST_RESULT)];

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<RunId>,
) -> Result<Json<AttestationList>, ApiError> {
    caller.require(Scope::WorkspaceRunRead)?;
    let key = super::sealed_key(&app.pool.get().await?, &caller, &id).await?;
    let prefix = key.strip_suffix(layout::EVIDENCE).unwrap_or(&key);
    let mut data = Vec::new();
    for (name, predicate_type) in STATEMENTS {
        let object_key = format!("{prefix}{name}");
        match app.store.get(&object_key).await {
            Ok(bytes) => {
                let envelope = Envelope::parse(&bytes).map_err(ApiError::internal)?;
                data.push(Attestation { predicate_type: predicate_type.to_owned(), object_key, envelope });
            }
            Err(StoreError::NotFound(_)) => {}
            Err(error @ StoreError::Request { .. }) => return Err(error.into()),
        }
    }
    Ok(Json(AttestationList { data }))
}
