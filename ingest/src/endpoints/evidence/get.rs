//! `GET /v1/workspace-runs/{id}/evidence`: the Evidence Bundle, byte for byte as it was sealed.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use infra::s3::StoreError;
use schemas::evidence::EvidenceAnswer;
use schemas::id::RunId;
use schemas::scope::Scope;

use crate::app::READ_BYTES;
use crate::http::error::{ApiError, Code};
use crate::http::path_id::PathId;
use crate::operation::parameters::RUN_ID;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation = Operation::get(
    "/v1/workspace-runs/{id}/evidence",
    "getEvidence",
    "The Evidence Bundle of a run, once it is durable",
)
.scope(Scope::WorkspaceRunRead)
.takes(&[RUN_ID])
.answers(200, json::<EvidenceAnswer>(examples::evidence_answer));

pub(crate) async fn handle(call: Call, PathId(id): PathId<RunId>) -> Result<Response, ApiError> {
    let key = super::sealed_key(&call.app.pool.get().await?, &call.caller, &id).await?;
    let _read = call.app.reads.take_in_time(call.caller.org(), READ_BYTES).await?;
    let evidence = match call.app.store.get(&key).await {
        Err(StoreError::NotFound(_)) => {
            tracing::error!(key, "sealed evidence is missing in the store");
            let message = "The evidence of this run was sealed, but is not in the object store any more.";
            return Err(ApiError::new(Code::NotFound, message));
        }
        evidence => evidence?,
    };
    let mut body = BytesMut::with_capacity(evidence.len() + 16);
    body.put_slice(b"{\"evidence\":");
    body.put_slice(evidence.trim_ascii_end());
    body.put_slice(b"}");
    Ok(([(header::CONTENT_TYPE, "application/json")], body.freeze()).into_response())
}
