//! `collector.artifacts`: the artifacts of sealed runs.

use infra::postgres::{Error, GenericClient};
use schemas::Timestamp;
use schemas::id::SandboxId;
use schemas::message::CollectedArtifact;

use super::runs::RunRow;
use super::to_sql;

const MILLIS_PER_DAY: u64 = 86_400_000;

/// Inserts what an executor collected, with the retention of the organization's plan.
pub(crate) async fn insert(
    client: &impl GenericClient,
    run: &RunRow,
    sandbox: &SandboxId,
    sealed_at: Timestamp,
    artifacts: &[CollectedArtifact],
) -> Result<(), Error> {
    if artifacts.is_empty() {
        return Ok(());
    }
    let sql = "select retention_days from metering.plan_of($1)";
    let plan = client.query_opt(&client.prepare_cached(sql).await?, &[&run.org_id.as_str()]).await?;
    let days = plan.and_then(|row| u64::try_from(row.get::<_, i32>(0)).ok());
    let expires = days.map(|days| sealed_at.plus_millis(days * MILLIS_PER_DAY).into_inner());
    for artifact in artifacts {
        let sql = "insert into collector.artifacts (id, org_id, project_id, run_id, sandbox_id, name, source_path,
                       object_key, size_bytes, sha256, content_type, created_at, retention_expires_at)
                   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict do nothing";
        let statement = client.prepare_cached(sql).await?;
        client
            .execute(
                &statement,
                &[
                    &artifact.id.as_str(),
                    &run.org_id.as_str(),
                    &run.project_id.as_str(),
                    &run.id.as_str(),
                    &sandbox.as_str(),
                    &artifact.name,
                    &artifact.path,
                    &artifact.object_key,
                    &to_sql(artifact.size_bytes),
                    &artifact.sha256,
                    &artifact.content_type,
                    &artifact.created_at.into_inner(),
                    &expires,
                ],
            )
            .await?;
    }
    Ok(())
}
