//! `POST /v1/workspace-runs`: a run, waiting for its archive; or started at once with one that is known.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use infra::postgres::{GenericClient, Transaction};
use infra::traceparent;
use schemas::Timestamp;
use schemas::api::archive::Archive;
use schemas::api::run::{RunAnswer, RunResult};
use schemas::id::{ProjectId, RunId};
use schemas::message::TemplateRef;
use schemas::run::RunStatus;
use schemas::scope::Scope;
use serde_json::Value;

use super::start;
use crate::app::App;
use crate::archive::Declared;
use crate::auth::Caller;
use crate::body;
use crate::db::runs::{self, Run};
use crate::db::{projects, templates};
use crate::error::{ApiError, Code};
use crate::idempotency::{Begun, IdempotencyKey, conclude};
use crate::new_run::{DEFAULT_TEMPLATE, NewRun};

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspaceRunCreate)?;
    let request = body::read_json(body).await?;
    let asked = NewRun::check(&request, &app.config)?;
    if !asked.artifacts.is_empty() {
        caller.require(Scope::ArtifactCreate)?;
        caller.require(Scope::FileRead)?;
    }
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let starts = asked.start;
    let done = create(&transaction, &app, &caller, &key, &request, asked, traceparent).await;
    let response = conclude(transaction, done).await?;
    // Nothing else puts anything into the outbox, and a look at it is a transaction.
    if starts {
        app.outbox.wake();
    }
    Ok(response)
}

async fn create(
    transaction: &Transaction<'_>,
    app: &App,
    caller: &Caller,
    key: &IdempotencyKey,
    request: &Value,
    asked: NewRun,
    traceparent: Option<&str>,
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ("POST", "/v1/workspace-runs"), request).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    // None depends on another, so they travel together.
    let (project, template, archive) = tokio::try_join!(
        project_of(transaction, caller, asked.project_id.as_ref()),
        template_of(transaction, &asked),
        known_archive(transaction, caller, asked.archive.as_ref()),
    )?;
    let traceparent = traceparent.filter(|text| traceparent::is_valid(text));
    let traceparent = traceparent.map_or_else(traceparent::new, str::to_owned);
    let queued_at = (asked.start && archive.is_some()).then(Timestamp::now);
    let status = match (&archive, queued_at) {
        (None, _) => RunStatus::AwaitingArchive,
        (Some(_), None) => RunStatus::ArchiveUploaded,
        (Some(_), Some(_)) => RunStatus::Starting,
    };
    let run = Run { status, archive, ..waiting_run(caller, project, template, asked, traceparent) };
    runs::insert(transaction, caller.org(), &run, queued_at).await?;
    if let Some(queued_at) = queued_at {
        start::enqueue(transaction, app, &run, queued_at).await?;
    }
    let span = tracing::Span::current();
    span.record("run_id", run.id.as_str());
    span.record("trace_id", traceparent::trace_id(&run.traceparent));
    attempt.finish(transaction, StatusCode::CREATED, &RunAnswer { workspace_run: run.into_api() }).await
}

fn waiting_run(caller: &Caller, project: ProjectId, template: TemplateRef, asked: NewRun, traceparent: String) -> Run {
    Run {
        id: RunId::new(),
        org_id: caller.org().clone(),
        project_id: project,
        status: RunStatus::AwaitingArchive,
        command: asked.command,
        template,
        artifacts: asked.artifacts,
        metadata: asked.metadata,
        source_metadata: asked.source_metadata,
        timeout_ms: asked.timeout_ms,
        batch_id: asked.batch_id,
        traceparent,
        created_at: Timestamp::now(),
        archive: None,
        cancel_requested_at: None,
        expired_at: None,
        attempt: 0,
        next_seq: 1,
        result: RunResult::default(),
    }
}

/// The archive, if the organization has it and the caller may use it unseen.
async fn known_archive(
    client: &impl GenericClient,
    caller: &Caller,
    asked: Option<&Declared>,
) -> Result<Option<Archive>, ApiError> {
    match asked {
        Some(asked) if super::is_known(client, caller, asked).await? => Ok(Some(Archive {
            sha256: asked.sha256.clone(),
            size_bytes: asked.size_bytes,
            uploaded_at: Some(Timestamp::now()),
        })),
        _ => Ok(None),
    }
}

/// The project asked for; without one the key's only project, or the organization's default one.
async fn project_of(
    client: &impl GenericClient,
    caller: &Caller,
    asked: Option<&ProjectId>,
) -> Result<ProjectId, ApiError> {
    if let Some(asked) = asked {
        let exists = caller.may_see(asked) && projects::exists(client, caller.org(), asked).await?;
        return if exists { Ok(asked.clone()) } else { Err(ApiError::not_found("project")) };
    }
    if let Some([only]) = caller.only_projects() {
        return Ok(only.clone());
    }
    let default = projects::default_of(client, caller.org()).await?.filter(|default| caller.may_see(default));
    default.ok_or_else(|| ApiError::invalid("projectId: this API key has several projects, name one of them."))
}

async fn template_of(client: &impl GenericClient, asked: &NewRun) -> Result<TemplateRef, ApiError> {
    let slug = asked.template.as_deref().unwrap_or(DEFAULT_TEMPLATE);
    let found = if let Some(id) = &asked.template_version_id {
        templates::version(client, id).await?
    } else if slug.contains('\0') {
        // No slug has a NUL, and PostgreSQL takes none.
        None
    } else {
        templates::current(client, slug).await?
    };
    let agrees = |found: &TemplateRef| asked.template.as_ref().is_none_or(|slug| *slug == found.slug);
    found.filter(agrees).ok_or_else(|| {
        let message = "template and templateVersionId: expected a template that exists, and a version of that one.";
        ApiError::new(Code::NotFound, message)
    })
}
