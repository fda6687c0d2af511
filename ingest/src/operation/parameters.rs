//! Parameters of operations in the path, the query and the headers.

use schemas::id::{ApiKeyId, ArtifactId, BatchId, DeliveryId, ProjectId, RunId, SandboxId, UploadId, WebhookId};
use schemas::limits;
use schemas::run::RunStatus;
use schemas::transparency::tile;
use serde_json::{Value, json};

/// A parameter of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(super) name: &'static str,
    place: &'static str,
    required: bool,
    description: &'static str,
    schema: fn() -> Value,
}

impl Parameter {
    const fn path(description: &'static str, schema: fn() -> Value) -> Self {
        Self { name: "id", place: "path", required: true, description, schema }
    }

    const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    const fn query(name: &'static str, description: &'static str, schema: fn() -> Value) -> Self {
        Self { name, place: "query", required: false, description, schema }
    }

    const fn header(name: &'static str, description: &'static str, schema: fn() -> Value) -> Self {
        Self { name, place: "header", required: false, description, schema }
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "in": self.place,
            "required": self.required,
            "description": self.description,
            "schema": (self.schema)(),
        })
    }
}

fn id(prefix: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{prefix}_[0-9A-Za-z]{{1,64}}$") })
}

fn whole_number(from: u64, to: u64) -> Value {
    json!({ "type": "integer", "minimum": from, "maximum": to })
}

/// The largest number that every JSON reader keeps exactly.
pub(crate) const MAX_SEQ: u64 = 1 << 53;

fn limit() -> Value {
    let mut schema = whole_number(1, limits::PAGE as u64);
    schema["default"] = json!(limits::DEFAULT_PAGE);
    schema
}

fn event_limit() -> Value {
    let mut schema = whole_number(1, limits::PAGE as u64);
    schema["default"] = json!(limits::PAGE);
    schema
}

pub(crate) const RUN_ID: Parameter = Parameter::path("A workspace run", || id(RunId::PREFIX));
pub(crate) const ARTIFACT_ID: Parameter = Parameter::path("An artifact", || id(ArtifactId::PREFIX));
pub(crate) const WEBHOOK_ID: Parameter = Parameter::path("A webhook", || id(WebhookId::PREFIX));
pub(crate) const DELIVERY_ID: Parameter = Parameter::path("A message to a webhook", || id(DeliveryId::PREFIX));
pub(crate) const SANDBOX_ID: Parameter = Parameter::path("A sandbox: `sandboxId` of a run", || id(SandboxId::PREFIX));
pub(crate) const API_KEY_ID: Parameter = Parameter::path("An API key", || id(ApiKeyId::PREFIX));
pub(crate) const TEMPLATE: Parameter = Parameter::path(
    "A template: its slug or its id",
    || json!({ "type": "string", "pattern": "^([a-z0-9][a-z0-9._-]{0,62}|tpl_[0-9A-Za-z]{1,64})$" }),
);
pub(crate) const UPLOAD_ID: Parameter = Parameter::path("A transfer", || id(UploadId::PREFIX));

pub(crate) const LIMIT: Parameter = Parameter::query("limit", "Entries of a page", limit);
pub(crate) const CURSOR: Parameter =
    Parameter::query("cursor", "`nextCursor` of the page before", || json!({ "type": "string", "maxLength": 256 }));

pub(crate) const PAGE: &[Parameter] = &[LIMIT, CURSOR];

pub(crate) const RUN_FILTERS: &[Parameter] = &[
    LIMIT,
    CURSOR,
    Parameter::query("projectId", "Only runs of this project", || id(ProjectId::PREFIX)),
    Parameter::query(
        "status",
        "Only runs with this status",
        || json!({ "type": "string", "enum": RunStatus::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>() }),
    ),
    Parameter::query("batchId", "Only runs with this label", || id(BatchId::PREFIX)),
    Parameter::query("createdAfter", "Only runs created at this time or later (RFC 3339)", date_time),
    Parameter::query("createdBefore", "Only runs created before this time (RFC 3339)", date_time),
];

fn date_time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(crate) const WAIT: Parameter =
    Parameter::query("wait", "Seconds to wait for the run to end; the answer is the run as it is then", || {
        whole_number(0, MAX_WAIT_S)
    });
/// Below the idle timeout of common proxies.
pub(crate) const MAX_WAIT_S: u64 = 50;

pub(crate) const EVENTS: &[Parameter] = &[
    RUN_ID,
    Parameter::query("afterSeq", "Only events after this `seq`", || whole_number(0, MAX_SEQ)),
    Parameter::query("limit", "Events of a page; without effect on a stream", event_limit),
    Parameter::query(
        "stream",
        "Server-sent events until the run has ended, instead of a page",
        || json!({ "type": "string", "enum": ["true", "false"], "default": "false" }),
    ),
    Parameter::header("Last-Event-ID", "The last `id` of a stream before it broke", || json!({ "type": "string" })),
];

pub(crate) const ARCHIVE_SHA256: Parameter = Parameter::header(
    "x-crownest-archive-sha256",
    "SHA-256 of the archive, in hexadecimal",
    || json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" }),
)
.required();
pub(crate) const ARCHIVE_SIZE: Parameter =
    Parameter::header("x-crownest-archive-size", "Bytes of the archive", || whole_number(1, limits::ARCHIVE_BYTES))
        .required();
pub(crate) const TILE_LEVEL: Parameter =
    Parameter::path("Height of the tile: 0 has the hashes of entries", || whole_number(0, u64::from(tile::MAX_LEVEL)))
        .named("level");
pub(crate) const TILE_INDEX: Parameter = Parameter::path(
    "Number of the tile, in groups of three digits, such as `005` or `x001/234`, and `.p/` with the width of a partial \
     one. Slashes are sent as they are",
    || json!({ "type": "string", "pattern": "^(x[0-9]{3}/)*[0-9]{3}(\\.p/[1-9][0-9]{0,2})?$" }),
)
.named("index");
pub(crate) const PART: Parameter =
    Parameter::path("Number of the part, from 0: its place in `eventLog.parts`", || whole_number(0, u32::MAX.into()))
        .named("part");
pub(crate) const RANGE: Parameter =
    Parameter::header("Range", "One range of bytes (RFC 9110)", || json!({ "type": "string" }));
pub(crate) const IDEMPOTENCY_KEY: Parameter = Parameter::header(
    "Idempotency-Key",
    "Makes it safe to send the request again: within 24 hours the same key gives the same answer, and nothing is done \
     twice. Visible ASCII characters.",
    || json!({ "type": "string", "minLength": 1, "maxLength": limits::IDEMPOTENCY_KEY_CHARS, "pattern": "^[!-~]+$" }),
);
