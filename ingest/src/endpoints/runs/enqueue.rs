//! The last step of a start: a slot is reserved, and the job of the run goes to the executors or waits in metering.

use database::{GenericClient, OutboxMessage, Transaction};
use schemas::Timestamp;
use schemas::archive::ArchiveRef;
use schemas::artifact::ArtifactLimits;
use schemas::egress::EgressPolicy;
use schemas::id::{OrgId, ProjectId};
use schemas::message::{Job, encode_json};

use crate::app::App;
use crate::archive::object_key;
use crate::db::egress_policies;
use crate::db::metering::{self, Reservation, Reserved};
use crate::db::runs::Run;
use crate::http::error::{ApiError, Code};

/// Reserves a slot for a run that is `starting`. If one is free the job goes into the outbox, to be woken after the
/// commit; else metering keeps it.
pub(super) async fn enqueue(
    transaction: &Transaction<'_>,
    app: &App,
    run: &Run,
    queued_at: Timestamp,
) -> Result<(), ApiError> {
    let egress = match run.network {
        None => None,
        Some(_) => Some(egress(transaction, &run.org_id, &run.project_id).await?),
    };
    let artifact_limits = app.plans.artifact_limits(transaction, &run.org_id).await?;
    let job = encode_json(&job(run, egress, artifact_limits, queued_at)?).map_err(ApiError::internal)?;
    let target = app.topology.jobs();
    let headers = serde_json::json!({ "traceparent": run.traceparent });
    // Last, since it may take a lock that all starts in the project need.
    let wanted = Reservation {
        run: &run.id,
        org: &run.org_id,
        project: &run.project_id,
        routing_key: &target.routing_key,
        job: &job,
        headers: &headers,
    };
    match metering::reserve_run(transaction, &wanted).await? {
        Reserved::Active => {
            let message = OutboxMessage::json(target, job, &run.id, Some(run.traceparent.clone()));
            app.outbox.insert(transaction, &[message]).await?;
        }
        Reserved::Waiting => {}
        Reserved::QuotaExceeded => {
            return Err(quota_exceeded(metering::period_end(transaction).await?));
        }
        Reserved::QueueFull => return Err(queue_full()),
    }
    Ok(())
}

/// The project's current egress policy; without one, the request is refused.
pub(super) async fn egress(
    client: &impl GenericClient,
    org: &OrgId,
    project: &ProjectId,
) -> Result<EgressPolicy, ApiError> {
    egress_policies::find(client, org, project).await?.ok_or_else(|| {
        let message = format!(
            "network: the operator allows this project no egress. Ask for it (`crownest admin egress set {project} --allow \
             HOST`), or leave `network` out."
        );
        ApiError::new(Code::Forbidden, message)
    })
}

fn job(
    run: &Run,
    egress: Option<EgressPolicy>,
    artifact_limits: ArtifactLimits,
    queued_at: Timestamp,
) -> Result<Job, ApiError> {
    let archive = run.archive.as_ref();
    let archive = archive.ok_or_else(|| ApiError::internal(anyhow::anyhow!("the archive of {} is missing", run.id)))?;
    Ok(Job {
        run_id: run.id.clone(),
        org_id: run.org_id.clone(),
        project_id: run.project_id.clone(),
        command: run.command.clone(),
        template: run.template.clone(),
        archive: ArchiveRef {
            key: object_key(&run.org_id, &archive.sha256),
            sha256: archive.sha256.clone(),
            size_bytes: archive.size_bytes,
        },
        artifacts: run.artifacts.clone(),
        timeout_ms: run.timeout_ms,
        date: run.created_at.date().to_string(),
        queued_at,
        traceparent: run.traceparent.clone(),
        env_keys: run.env_keys.clone(),
        egress,
        artifact_limits,
    })
}

/// A slot is free when a run has ended, which nobody knows: a guess.
const QUEUE_RETRY_AFTER_S: u64 = 30;

fn queue_full() -> ApiError {
    let message =
        "As many runs of the organization wait for a slot as its plan allows: start this one when some have ended.";
    ApiError::retry_after(Code::QuotaExceeded, message, QUEUE_RETRY_AFTER_S)
        .with_details(serde_json::json!({ "quota": "waiting_runs" }))
}

fn quota_exceeded(reset_at: Timestamp) -> ApiError {
    let seconds = reset_at.millis_since(Timestamp::now()).div_ceil(1000).max(1);
    let message = "The organization has used up its compute of this period: wait for the next one, or change the plan.";
    ApiError::retry_after(Code::QuotaExceeded, message, seconds)
        .with_details(serde_json::json!({ "quota": "compute_unit_seconds", "resetAt": reset_at }))
}
