//! `GET /tlog/…`: the evidence log for monitors (the monitoring prefix of C2SP tlog-tiles). No key is needed: it holds
//! digests only.

use axum::extract::State;
use axum::http::{Method, Uri, header};
use axum::response::{IntoResponse, Response};
use schemas::transparency::tile::Resource;

use crate::app::App;
use crate::http::error::{ApiError, Code};
use crate::operation::parameters::{TILE_INDEX, TILE_LEVEL};
use crate::operation::{Content, Operation, Public, PublicFamily};

pub(crate) const OPERATION: PublicFamily =
    PublicFamily { route: "/tlog/{*path}", operations: &[GET_CHECKPOINT, GET_TILE, GET_ENTRIES] };

const GET_CHECKPOINT: Public = Operation::get(
    "/tlog/checkpoint",
    "getLogCheckpoint",
    "Size and root hash of the evidence log, signed (C2SP tlog-checkpoint); `/tlog` is its monitoring prefix",
)
.answers(200, Content::Bytes("text/plain"))
.errors(&[Code::NotFound])
.public();

const GET_TILE: Public =
    Operation::get("/tlog/tile/{level}/{index}", "getLogTile", "Hashes of the evidence log (C2SP tlog-tiles)")
        .takes(&[TILE_LEVEL, TILE_INDEX])
        .answers(200, Content::Bytes("application/octet-stream"))
        .errors(&[Code::NotFound])
        .public();

const GET_ENTRIES: Public = Operation::get(
    "/tlog/tile/entries/{index}",
    "getLogEntries",
    "Entries of the evidence log, each with its length in two bytes before it (C2SP tlog-tiles)",
)
.takes(&[TILE_INDEX])
.answers(200, Content::Bytes("application/octet-stream"))
.errors(&[Code::NotFound])
.public();

/// A checkpoint is soon replaced by a larger one; tiles never change.
const CHECKPOINT: &str = "public, max-age=1";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

pub(crate) async fn handle(State(app): State<App>, uri: Uri) -> Result<Response, ApiError> {
    // The path as it was sent: an escaped path would be another name for the same object in caches.
    let path = uri.path().strip_prefix("/tlog/").unwrap_or_default();
    let resource: Resource = path.parse().map_err(|_| nothing_here())?;
    let body = app.public_reads.read(&app.store, resource).await?.ok_or_else(nothing_here)?;
    let caching = if resource == Resource::Checkpoint { CHECKPOINT } else { IMMUTABLE };
    let headers = [(header::CONTENT_TYPE, resource.content_type()), (header::CACHE_CONTROL, caching)];
    // All strangers share what one organization may have.
    Ok(app.answer_buffers.hold("", &Method::GET, (headers, body).into_response()).await)
}

fn nothing_here() -> ApiError {
    ApiError::new(Code::NotFound, "The evidence log has nothing here: see C2SP tlog-tiles for its paths.")
}
