//! `POST /v1/workspace-runs`: a run, waiting for its archive; or started at once with one that is known.

use axum::response::Response;
use database::{GenericClient, Transaction};
use infra::keyring::Keyring;
use infra::traceparent;
use schemas::Timestamp;
use schemas::api::run::{CreateRun, RunAnswer, RunResult};
use schemas::archive::Archive;
use schemas::env::{EnvValues, sealing_context};
use schemas::id::{ProjectId, RunId};
use schemas::message::TemplateRef;
use schemas::run::RunStatus;
use schemas::scope::Scope;

use super::enqueue;
use crate::app::App;
use crate::archive::Declared;
use crate::auth::Caller;
use crate::db::runs::{self, Run};
use crate::db::{projects, run_env, templates};
use crate::endpoints::{archives, templates as offers};
use crate::http::error::{ApiError, Code};
use crate::idempotency::{Fingerprint, Fingerprints};
use crate::new_run::{DEFAULT_TEMPLATE, NewRun};
use crate::operation::{Call, Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed = Operation::post("/v1/workspace-runs", "createWorkspaceRun", "Create a run")
    .scope(Scope::WorkspaceRunCreate)
    .body(json::<CreateRun>(examples::create_run))
    .answers(201, json::<RunAnswer>(examples::run_answer))
    .errors(&[
        Code::NotFound,
        Code::InvalidMetadataKey,
        Code::InvalidMetadataValue,
        Code::MetadataTooLarge,
        Code::MetadataTooManyKeys,
        Code::ReservedEnvKey,
        Code::UnsupportedRuntimeOption,
        Code::QuotaExceeded,
    ])
    .keyed();

pub(crate) async fn handle(mut change: Change, (): ()) -> Result<Response, ApiError> {
    let request = change.json().await?;
    let asked = NewRun::check(&request, &change.app.config)?;
    if !asked.artifacts.is_empty() {
        change.caller.require(Scope::ArtifactCreate)?;
        change.caller.require(Scope::FileRead)?;
    }
    let fingerprints = match keyring_for(&change.app, &asked.env)? {
        None => Fingerprint::of(&request)?.into(),
        Some(keyring) => Fingerprints::keyed(&request, keyring)?,
    };
    // The request holds the values, too.
    drop(request);
    let starts = asked.start;
    let response = change.once_as(&fingerprints, async |transaction| create(transaction, &change, asked).await).await?;
    // Only a start puts a message into the outbox, and a look at the outbox is a transaction.
    if starts {
        change.app.outbox.wake();
    }
    Ok(response)
}

async fn create(transaction: &Transaction<'_>, call: &Call, mut asked: NewRun) -> Result<RunAnswer, ApiError> {
    let (app, caller) = (&call.app, &call.caller);
    // Independent statements, pipelined on one connection.
    let (project, template, archive) = tokio::try_join!(
        project_of(transaction, caller, asked.project_id.as_ref()),
        template_of(transaction, &asked),
        known_archive(transaction, caller, asked.archive.as_ref()),
    )?;
    // Checked here before anything is uploaded; the policy at the start counts.
    if asked.network.is_some() {
        enqueue::egress(transaction, caller.org(), &project).await?;
    }
    let traceparent = call.headers.get("traceparent").and_then(|value| value.to_str().ok());
    let traceparent = traceparent.filter(|text| traceparent::is_valid(text));
    let traceparent = traceparent.map_or_else(traceparent::new, str::to_owned);
    let queued_at = (asked.start && archive.is_some()).then(Timestamp::now);
    let status = match (&archive, queued_at) {
        (None, _) => RunStatus::AwaitingArchive,
        (Some(_), None) => RunStatus::ArchiveUploaded,
        (Some(_), Some(_)) => RunStatus::Starting,
    };
    let env = std::mem::take(&mut asked.env);
    let run =
        Run { status, archive, env_keys: env.names(), ..waiting_run(caller, project, template, asked, traceparent) };
    runs::insert(transaction, caller.org(), &run, queued_at).await?;
    if let Some(keyring) = keyring_for(app, &env)? {
        run_env::insert(transaction, &run.id, &sealed(keyring, &env, &run)?).await?;
    }
    if let Some(queued_at) = queued_at {
        enqueue::enqueue(transaction, app, &run, queued_at).await?;
    }
    let span = tracing::Span::current();
    span.record("run_id", run.id.as_str());
    span.record("trace_id", traceparent::trace_id(&run.traceparent));
    Ok(RunAnswer { workspace_run: run.into_api() })
}

/// The keyring for the values, if there are any.
fn keyring_for<'a>(app: &'a App, env: &EnvValues) -> Result<Option<&'a Keyring>, ApiError> {
    match &app.keyring {
        _ if env.is_empty() => Ok(None),
        Some(keyring) => Ok(Some(keyring)),
        None => {
            let message = "env is not supported here: the operator has set no key to encrypt it with (--env-key-file).";
            Err(ApiError::new(Code::UnsupportedRuntimeOption, message))
        }
    }
}

fn sealed(keyring: &Keyring, env: &EnvValues, run: &Run) -> Result<Vec<u8>, ApiError> {
    let plain = serde_json::to_vec(env).map_err(ApiError::internal)?;
    keyring.seal(&plain, &sealing_context(&run.org_id, &run.id)).map_err(ApiError::internal)
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
        env_keys: Vec::new(),
        timeout_ms: asked.timeout_ms,
        network: asked.network,
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

/// The archive, if the organization has it and the caller need not send it.
async fn known_archive(
    client: &impl GenericClient,
    caller: &Caller,
    asked: Option<&Declared>,
) -> Result<Option<Archive>, ApiError> {
    match asked {
        Some(asked) if archives::is_known(client, caller, asked).await? => Ok(Some(Archive {
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
    // PostgreSQL refuses a NUL, which no slug has; the empty slug does not exist either.
    let slug = asked.template.as_deref().map(|slug| if slug.contains('\0') { "" } else { slug });
    let version = asked.template_version_id.as_ref();
    let found = match version {
        Some(id) => templates::version(client, id).await?,
        None => templates::current(client, slug.unwrap_or(DEFAULT_TEMPLATE)).await?,
    };
    if let Some(found) = found.filter(|found| slug.is_none_or(|slug| slug == found.slug)) {
        return Ok(found);
    }
    Err(match (slug, version) {
        (None, Some(_)) => offers::version_unknown(client).await?,
        (slug, version) => offers::not_had(client, slug.unwrap_or(DEFAULT_TEMPLATE), version).await?,
    })
}
