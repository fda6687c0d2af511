//! `GET /v1/workspace-runs/{id}/attestations`: the signed statements about a run, as they are stored.

use axum::Json;
use infra::s3::StoreError;
use schemas::api::attestations::{Attestation, AttestationList};
use schemas::attestation::dsse::Envelope;
use schemas::attestation::predicate::{RUN_EVIDENCE, SLSA_PROVENANCE, TEST_RESULT};
use schemas::id::RunId;
use schemas::layout;
use schemas::scope::Scope;

use crate::app::READ_BYTES;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::RUN_ID;
use crate::operation::{Call, Operation, examples, json};

/// Beside the bundle; only the first is there for every run.
const STATEMENTS: [(&str, &str); 3] =
    [(layout::ATTESTATION, RUN_EVIDENCE), (layout::PROVENANCE, SLSA_PROVENANCE), (layout::TEST_RESULT, TEST_RESULT)];

pub(crate) const OPERATION: Operation = Operation::get(
    "/v1/workspace-runs/{id}/attestations",
    "listAttestations",
    "The signed in-toto statements about a run, in DSSE envelopes, once its evidence is durable",
)
.scope(Scope::WorkspaceRunRead)
.takes(&[RUN_ID])
.answers(200, json::<AttestationList>(examples::attestations));

pub(crate) async fn handle(call: Call, PathId(id): PathId<RunId>) -> Result<Json<AttestationList>, ApiError> {
    let key = super::sealed_key(&call.app.pool.get().await?, &call.caller, &id).await?;
    let prefix = key.strip_suffix(layout::EVIDENCE).unwrap_or(&key);
    let _read = call.app.reads.take_in_time(call.caller.org(), READ_BYTES).await?;
    let mut data = Vec::new();
    for (name, predicate_type) in STATEMENTS {
        let object_key = format!("{prefix}{name}");
        match call.app.store.get(&object_key).await {
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
