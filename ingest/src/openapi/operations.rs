//! The operations of the API as the document lists them. `null` as a scope: any valid key.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use schemas::api::archive::{ArchiveAnswer, DeclaredArchive, FinalizeArchive, TransferAnswer};
use schemas::api::artifact::{ArtifactAnswer, DownloadUrl};
use schemas::api::key::{ApiKey, ApiKeyAnswer};
use schemas::api::list::{EventPage, List};
use schemas::api::project::{CreateProject, Project, ProjectAnswer};
use schemas::api::run::{CreateRun, RunAnswer, WorkspaceRun};
use schemas::api::usage::UsageSummary;
use schemas::event::Event;
use schemas::evidence::EvidenceBundle;
use schemas::scope::Scope;

use Payload::{Bytes, Json, None as Nothing};

#[derive(Debug, Clone, Copy)]
pub(super) enum Payload {
    None,
    /// Of this content type.
    Bytes(&'static str),
    Json(fn(&mut SchemaGenerator) -> Schema),
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) scope: Option<Scope>,
    query: &'static [&'static str],
    pub(super) request: Payload,
    pub(super) status: u16,
    pub(super) answer: Payload,
}

impl Operation {
    /// Names and places of the parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let in_path = self.path.contains("{id}").then_some(("id", "path"));
        let key = (self.method != "get").then_some(("Idempotency-Key", "header"));
        let size = matches!(self.request, Bytes(_)) && self.path.ends_with("/archive");
        let headers = if size { &["x-crownest-archive-sha256", "x-crownest-archive-size"][..] } else { &[] };
        let query = self.query.iter().map(|name| (*name, "query"));
        in_path.into_iter().chain(query).chain(headers.iter().map(|name| (*name, "header"))).chain(key)
    }
}

/// The evidence of a run, in its envelope.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the evidence is passed on as it was sealed")]
struct EvidenceAnswer {
    evidence: EvidenceBundle,
}

fn json<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn operation(
    (method, path, id): (&'static str, &'static str, &'static str),
    scope: Option<Scope>,
    query: &'static [&'static str],
    request: Payload,
    (status, answer): (u16, Payload),
) -> Operation {
    Operation { method, path, id, scope, query, request, status, answer }
}

const PAGE: &[&str] = &["limit", "cursor"];
const RUNS: &str = "/v1/workspace-runs";
const GZIP: Payload = Bytes("application/gzip");
const CREATE: Option<Scope> = Some(Scope::WorkspaceRunCreate);
const READ: Option<Scope> = Some(Scope::WorkspaceRunRead);

#[rustfmt::skip]
pub(super) const ALL: &[Operation] = &[
    operation(("get", "/v1/projects", "listProjects"), None, PAGE, Nothing, (200, Json(json::<List<Project>>))),
    operation(("post", "/v1/projects", "createProject"), Some(Scope::ProjectCreate), &[], Json(json::<CreateProject>), (201, Json(json::<ProjectAnswer>))),
    operation(("get", "/v1/usage", "getUsage"), Some(Scope::UsageRead), &[], Nothing, (200, Json(json::<UsageSummary>))),
    operation(("get", "/v1/api-keys", "listApiKeys"), Some(Scope::ApiKeyRead), PAGE, Nothing, (200, Json(json::<List<ApiKey>>))),
    operation(("get", "/v1/api-keys/{id}", "getApiKey"), Some(Scope::ApiKeyRead), &[], Nothing, (200, Json(json::<ApiKeyAnswer>))),
    operation(("delete", "/v1/api-keys/{id}", "revokeApiKey"), Some(Scope::ApiKeyRevoke), &[], Nothing, (200, Json(json::<ApiKeyAnswer>))),
    operation(("get", RUNS, "listWorkspaceRuns"), READ, &["limit", "cursor", "projectId", "status"], Nothing, (200, Json(json::<List<WorkspaceRun>>))),
    operation(("post", RUNS, "createWorkspaceRun"), CREATE, &[], Json(json::<CreateRun>), (201, Json(json::<RunAnswer>))),
    operation(("get", "/v1/workspace-runs/{id}", "getWorkspaceRun"), READ, &[], Nothing, (200, Json(json::<RunAnswer>))),
    operation(("put", "/v1/workspace-runs/{id}/archive", "uploadArchive"), CREATE, &[], GZIP, (200, Json(json::<ArchiveAnswer>))),
    operation(("post", "/v1/workspace-runs/{id}/archive-transfer", "createArchiveTransfer"), CREATE, &[], Json(json::<DeclaredArchive>), (201, Json(json::<TransferAnswer>))),
    operation(("put", "/v1/uploads/{id}", "putStagedArchive"), CREATE, &[], GZIP, (204, Nothing)),
    operation(("post", "/v1/workspace-runs/{id}/archive/finalize", "finalizeArchive"), CREATE, &[], Json(json::<FinalizeArchive>), (200, Json(json::<ArchiveAnswer>))),
    operation(("post", "/v1/workspace-runs/{id}/start", "startWorkspaceRun"), CREATE, &[], Nothing, (200, Json(json::<RunAnswer>))),
    operation(("post", "/v1/workspace-runs/{id}/cancel", "cancelWorkspaceRun"), Some(Scope::WorkspaceRunCancel), &[], Nothing, (200, Json(json::<RunAnswer>))),
    operation(("get", "/v1/workspace-runs/{id}/events", "listEvents"), READ, &["afterSeq", "limit", "stream"], Nothing, (200, Json(json::<EventPage<Event>>))),
    operation(("get", "/v1/workspace-runs/{id}/evidence", "getEvidence"), READ, &[], Nothing, (200, Json(json::<EvidenceAnswer>))),
    operation(("get", "/v1/artifacts/{id}", "getArtifact"), Some(Scope::ArtifactRead), &[], Nothing, (200, Json(json::<ArtifactAnswer>))),
    operation(("delete", "/v1/artifacts/{id}", "deleteArtifact"), Some(Scope::ArtifactDelete), &[], Nothing, (200, Json(json::<ArtifactAnswer>))),
    operation(("post", "/v1/artifacts/{id}/download-url", "createDownloadUrl"), Some(Scope::ArtifactRead), &[], Nothing, (200, Json(json::<DownloadUrl>))),
    operation(("get", "/v1/artifacts/{id}/download", "downloadArtifact"), Some(Scope::ArtifactRead), &[], Nothing, (200, Bytes("application/octet-stream"))),
];
