//! `GET /.well-known/jwks.json`: the public keys of everything that is signed here (RFC 7517, RFC 8037), retired ones too.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemas::attestation::jwks::{Jwk, JwkSet};

use crate::app::App;
use crate::db::collector;
use crate::http::error::ApiError;
use crate::operation::{Operation, Public, examples, json};

pub(crate) const OPERATION: Public = Operation::get(
    "/.well-known/jwks.json",
    "getPublicKeys",
    "Public keys of everything that is signed here, retired ones too",
)
.answers(200, json::<JwkSet>(examples::jwks))
.public();

const CACHING: &str = "public, max-age=60";

pub(crate) async fn handle(State(app): State<App>) -> Result<Response, ApiError> {
    let client = app.pool.get().await?;
    let keys = collector::signing_keys(&client).await?;
    let set = JwkSet { keys: keys.iter().map(Jwk::ed25519).collect() };
    Ok(([(header::CACHE_CONTROL, CACHING)], Json(set)).into_response())
}
