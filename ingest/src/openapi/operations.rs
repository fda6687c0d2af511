//! The operations of the API as the document lists them.

use schemas::api::archive::{ArchiveAnswer, DeclaredArchive, FinalizeArchive, TransferAnswer};
use schemas::api::artifact::{Artifact, ArtifactAnswer, DownloadUrl};
use schemas::api::attestations::AttestationList;
use schemas::api::inclusion::InclusionAnswer;
use schemas::api::key::{ApiKey, ApiKeyAnswer};
use schemas::api::list::{EventPage, List};
use schemas::api::project::{CreateProject, Project, ProjectAnswer};
use schemas::api::run::{CreateRun, RunAnswer, WorkspaceRun};
use schemas::api::template::{OfferedTemplate, TemplateAnswer};
use schemas::api::usage::UsageSummary;
use schemas::api::webhook::{CreateWebhook, CreatedWebhook, Delivery, DeliveryAnswer, Webhook, WebhookAnswer};
use schemas::artifact::tombstone::Tombstone;
use schemas::attestation::jwks::JwkSet;
use schemas::event::Event;
use schemas::evidence::EvidenceAnswer;
use schemas::scope::Scope;

use super::examples;
use super::operation::{Content, Operation, json, shape};
use super::parameters::{self as parameter, Parameter};
use crate::error::Code;

const GZIP: Content = Content::Bytes("application/gzip");
const RUN: Content = json::<RunAnswer>(examples::run_answer);
const KEYED: &[Parameter] = &[parameter::IDEMPOTENCY_KEY];
const RUN_ID: &[Parameter] = &[parameter::RUN_ID];
const KEYED_RUN: &[Parameter] = &[parameter::RUN_ID, parameter::IDEMPOTENCY_KEY];
const ARTIFACT: &[Parameter] = &[parameter::ARTIFACT_ID];
const PAGE: &[Parameter] = &[parameter::LIMIT, parameter::CURSOR];

/// In the order of a run's life.
pub(super) const ALL: &[Operation] = &[
    Operation::new("get", "/v1/projects", "listProjects", "List the projects that the key may see, newest first")
        .takes(PAGE)
        .answers(200, json::<List<Project>>(examples::projects)),
    Operation::new("post", "/v1/projects", "createProject", "Create a project")
        .scope(Scope::ProjectCreate)
        .takes(KEYED)
        .body(json::<CreateProject>(examples::create_project))
        .answers(201, json::<ProjectAnswer>(examples::project_answer)),
    Operation::new("get", "/v1/templates", "listTemplates", "List what runs may be started from, newest first")
        .takes(PAGE)
        .answers(200, json::<List<OfferedTemplate>>(examples::templates)),
    Operation::new("get", "/v1/templates/{id}", "getTemplate", "One template with its versions")
        .takes(&[parameter::TEMPLATE])
        .answers(200, json::<TemplateAnswer>(examples::template_answer)),
    Operation::new("get", "/v1/usage", "getUsage", "What the organization used in this calendar month (UTC)")
        .scope(Scope::UsageRead)
        .answers(200, json::<UsageSummary>(examples::usage)),
    Operation::new("get", "/v1/api-keys", "listApiKeys", "List the organization's API keys, newest first")
        .scope(Scope::ApiKeyRead)
        .takes(PAGE)
        .answers(200, json::<List<ApiKey>>(examples::api_keys)),
    Operation::new("get", "/v1/api-keys/{id}", "getApiKey", "One API key, without its secret")
        .scope(Scope::ApiKeyRead)
        .takes(&[parameter::API_KEY_ID])
        .answers(200, json::<ApiKeyAnswer>(examples::api_key_answer)),
    Operation::new("delete", "/v1/api-keys/{id}", "revokeApiKey", "Revoke an API key, at once and for good")
        .scope(Scope::ApiKeyRevoke)
        .takes(&[parameter::API_KEY_ID, parameter::IDEMPOTENCY_KEY])
        .answers(200, json::<ApiKeyAnswer>(examples::api_key_answer)),
    Operation::new(
        "get",
        "/v1/workspace-runs",
        "listWorkspaceRuns",
        "List runs, newest first; `metadata.KEY=VALUE` in the query, also repeated, keeps those with that metadata",
    )
    .scope(Scope::WorkspaceRunRead)
    .takes(parameter::RUN_FILTERS)
    .answers(200, json::<List<WorkspaceRun>>(examples::runs))
    .errors(&[Code::NotFound]),
    Operation::new("post", "/v1/workspace-runs", "createWorkspaceRun", "Create a run")
        .scope(Scope::WorkspaceRunCreate)
        .takes(KEYED)
        .body(json::<CreateRun>(examples::create_run))
        .answers(201, RUN)
        .errors(&[
            Code::NotFound,
            Code::InvalidMetadataKey,
            Code::InvalidMetadataValue,
            Code::MetadataTooLarge,
            Code::MetadataTooManyKeys,
            Code::ReservedEnvKey,
            Code::UnsupportedRuntimeOption,
            Code::QuotaExceeded,
        ]),
    Operation::new("get", "/v1/workspace-runs/{id}", "getWorkspaceRun", "One run, as it is now or once it has ended")
        .scope(Scope::WorkspaceRunRead)
        .takes(&[parameter::RUN_ID, parameter::WAIT])
        .answers(200, RUN),
    Operation::new("put", "/v1/workspace-runs/{id}/archive", "uploadArchive", "Send a small archive in one request")
        .scope(Scope::WorkspaceRunCreate)
        .takes(&[parameter::RUN_ID, parameter::ARCHIVE_SHA256, parameter::ARCHIVE_SIZE, parameter::IDEMPOTENCY_KEY])
        .body(GZIP)
        .answers(200, json::<ArchiveAnswer>(examples::archive_answer))
        .errors(&[Code::FileTooLarge, Code::UploadConflict, Code::UploadChecksumMismatch, Code::UploadSizeMismatch]),
    Operation::new(
        "post",
        "/v1/workspace-runs/{id}/archive-transfer",
        "createArchiveTransfer",
        "Where to send a large archive; the same again for the same archive",
    )
    .scope(Scope::WorkspaceRunCreate)
    .takes(KEYED_RUN)
    .body(json::<DeclaredArchive>(examples::declared_archive))
    .answers(201, json::<TransferAnswer>(examples::transfer_answer))
    .errors(&[Code::UploadConflict]),
    Operation::new("put", "/v1/uploads/{id}", "putStagedArchive", "Send a large archive to its transfer's uploadUrl")
        .scope(Scope::WorkspaceRunCreate)
        .takes(&[parameter::UPLOAD_ID])
        .body(GZIP)
        .empty(204)
        .errors(&[Code::UploadNotFound, Code::UploadExpired, Code::UploadChecksumMismatch, Code::UploadSizeMismatch]),
    Operation::new(
        "post",
        "/v1/workspace-runs/{id}/archive/finalize",
        "finalizeArchive",
        "Give the run its archive, once its bytes are complete",
    )
    .scope(Scope::WorkspaceRunCreate)
    .takes(KEYED_RUN)
    .body(json::<FinalizeArchive>(examples::finalize_archive))
    .answers(200, json::<ArchiveAnswer>(examples::archive_answer))
    .errors(&[
        Code::UploadConflict,
        Code::UploadNotFound,
        Code::UploadExpired,
        Code::UploadIncomplete,
        Code::UploadChecksumMismatch,
        Code::UploadSizeMismatch,
    ]),
    Operation::new("post", "/v1/workspace-runs/{id}/start", "startWorkspaceRun", "Start a run that has its archive")
        .scope(Scope::WorkspaceRunCreate)
        .takes(KEYED_RUN)
        .answers(200, RUN)
        .errors(&[Code::UploadIncomplete, Code::UploadConflict, Code::QuotaExceeded]),
    Operation::new(
        "post",
        "/v1/workspace-runs/{id}/cancel",
        "cancelWorkspaceRun",
        "Stop a run; one that has ended is returned as it is",
    )
    .scope(Scope::WorkspaceRunCancel)
    .takes(KEYED_RUN)
    .answers(200, RUN),
    Operation::new(
        "get",
        "/v1/workspace-runs/{id}/events",
        "listEvents",
        "What happened in a run: a page, or a live stream that ends after the `terminal` event",
    )
    .scope(Scope::WorkspaceRunRead)
    .takes(parameter::EVENTS)
    .answers(200, Content::Events(shape::<EventPage<Event>>, examples::events)),
    Operation::new(
        "get",
        "/v1/workspace-runs/{id}/evidence",
        "getEvidence",
        "The Evidence Bundle of a run, once it is durable",
    )
    .scope(Scope::WorkspaceRunRead)
    .takes(RUN_ID)
    .answers(200, json::<EvidenceAnswer>(examples::evidence_answer)),
    Operation::new(
        "get",
        "/v1/workspace-runs/{id}/attestations",
        "listAttestations",
        "The signed in-toto statements about a run, in DSSE envelopes, once its evidence is durable",
    )
    .scope(Scope::WorkspaceRunRead)
    .takes(RUN_ID)
    .answers(200, json::<AttestationList>(examples::attestations)),
    Operation::new(
        "get",
        "/v1/workspace-runs/{id}/evidence/inclusion",
        "getEvidenceInclusion",
        "The proof that the evidence log has the Evidence Bundle of a run; a few seconds after it was sealed",
    )
    .scope(Scope::WorkspaceRunRead)
    .takes(RUN_ID)
    .answers(200, json::<InclusionAnswer>(examples::inclusion_answer)),
    Operation::new(
        "get",
        "/v1/workspace-runs/{id}/evidence/event-log/{part}",
        "downloadEventLogPart",
        "One part of a run's event log, byte for byte as it was sealed: zstd frames of NDJSON, with an index",
    )
    .scope(Scope::WorkspaceRunRead)
    .takes(&[parameter::RUN_ID, parameter::PART, parameter::RANGE])
    .answers(200, Content::Bytes("application/zstd"))
    .errors(&[Code::RangeNotSatisfiable]),
    Operation::new(
        "get",
        "/.well-known/jwks.json",
        "getPublicKeys",
        "Public keys of everything that is signed here, retired ones too",
    )
    .public()
    .answers(200, json::<JwkSet>(examples::jwks)),
    Operation::new(
        "get",
        "/tlog/checkpoint",
        "getLogCheckpoint",
        "Size and root hash of the evidence log, signed (C2SP tlog-checkpoint); `/tlog` is its monitoring prefix",
    )
    .public()
    .answers(200, Content::Bytes("text/plain"))
    .errors(&[Code::NotFound]),
    Operation::new("get", "/tlog/tile/{level}/{index}", "getLogTile", "Hashes of the evidence log (C2SP tlog-tiles)")
        .public()
        .takes(&[parameter::TILE_LEVEL, parameter::TILE_INDEX])
        .answers(200, Content::Bytes("application/octet-stream"))
        .errors(&[Code::NotFound]),
    Operation::new(
        "get",
        "/tlog/tile/entries/{index}",
        "getLogEntries",
        "Entries of the evidence log, each with its length in two bytes before it (C2SP tlog-tiles)",
    )
    .public()
    .takes(&[parameter::TILE_INDEX])
    .answers(200, Content::Bytes("application/octet-stream"))
    .errors(&[Code::NotFound]),
    Operation::new("get", "/v1/sandboxes/{id}/artifacts", "listArtifacts", "List what was kept of a sandbox")
        .scope(Scope::ArtifactRead)
        .takes(&[parameter::SANDBOX_ID, parameter::LIMIT, parameter::CURSOR])
        .answers(200, json::<List<Artifact>>(examples::artifacts_of_sandbox)),
    Operation::new("get", "/v1/artifacts/{id}", "getArtifact", "One artifact, without its bytes")
        .scope(Scope::ArtifactRead)
        .takes(ARTIFACT)
        .answers(200, json::<ArtifactAnswer>(examples::artifact_answer)),
    Operation::new(
        "delete",
        "/v1/artifacts/{id}",
        "deleteArtifact",
        "Delete the bytes of an artifact; what is known of it stays",
    )
    .scope(Scope::ArtifactDelete)
    .takes(&[parameter::ARTIFACT_ID, parameter::IDEMPOTENCY_KEY])
    .errors(&[Code::LegalHold])
    .answers(200, json::<ArtifactAnswer>(examples::artifact_answer)),
    Operation::new("post", "/v1/artifacts/{id}/download-url", "createDownloadUrl", "How to download an artifact")
        .scope(Scope::ArtifactRead)
        .takes(ARTIFACT)
        .answers(200, json::<DownloadUrl>(examples::download_url)),
    Operation::new("get", "/v1/artifacts/{id}/download", "downloadArtifact", "The bytes of an artifact")
        .scope(Scope::ArtifactRead)
        .takes(&[parameter::ARTIFACT_ID, parameter::RANGE])
        .answers(200, Content::Bytes("*/*"))
        .errors(&[Code::RangeNotSatisfiable]),
    Operation::new(
        "get",
        "/v1/artifacts/{id}/tombstone",
        "getTombstone",
        "What is left of a deleted artifact, as it is stored in the moment that its bytes go",
    )
    .scope(Scope::ArtifactRead)
    .takes(ARTIFACT)
    .answers(200, json::<Tombstone>(examples::tombstone)),
    Operation::new("get", "/v1/webhooks", "listWebhooks", "List webhooks, newest first")
        .scope(Scope::WebhookRead)
        .takes(PAGE)
        .answers(200, json::<List<Webhook>>(examples::webhooks)),
    Operation::new("post", "/v1/webhooks", "createWebhook", "Be told when a run has ended (Standard Webhooks)")
        .scope(Scope::WebhookCreate)
        .takes(KEYED)
        .body(json::<CreateWebhook>(examples::create_webhook))
        .answers(201, json::<CreatedWebhook>(examples::created_webhook))
        .errors(&[Code::NotFound]),
    Operation::new("get", "/v1/webhooks/{id}", "getWebhook", "One webhook, without its secret")
        .scope(Scope::WebhookRead)
        .takes(&[parameter::WEBHOOK_ID])
        .answers(200, json::<WebhookAnswer>(examples::webhook_answer)),
    Operation::new("delete", "/v1/webhooks/{id}", "deleteWebhook", "Delete a webhook and its deliveries")
        .scope(Scope::WebhookDelete)
        .takes(&[parameter::WEBHOOK_ID, parameter::IDEMPOTENCY_KEY])
        .answers(200, json::<WebhookAnswer>(examples::webhook_answer)),
    Operation::new("get", "/v1/webhooks/{id}/deliveries", "listDeliveries", "What was sent to a webhook, newest first")
        .scope(Scope::WebhookRead)
        .takes(&[parameter::WEBHOOK_ID, parameter::LIMIT, parameter::CURSOR])
        .answers(200, json::<List<Delivery>>(examples::deliveries)),
    Operation::new(
        "post",
        "/v1/webhook-deliveries/{id}/redeliver",
        "redeliver",
        "Send a message again, at once, with the same webhook-id",
    )
    .scope(Scope::WebhookCreate)
    .takes(&[parameter::DELIVERY_ID, parameter::IDEMPOTENCY_KEY])
    .answers(200, json::<DeliveryAnswer>(examples::delivery_answer)),
];
