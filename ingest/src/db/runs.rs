//! Table `ingest.runs`: the request for each run, and its progress. Only the collector makes a run terminal.

mod observe;
mod row;
mod transitions;

use std::collections::BTreeMap;

use database::GenericClient;
use database::row::{DbError, Params, execute, optional, parsed, rows, signed};
use schemas::Timestamp;
use schemas::egress::RunNetwork;
use schemas::id::{BatchId, OrgId, ProjectId, RunId, SandboxId};
use schemas::run::RunStatus;
use tokio_postgres::types::Json;

use crate::db::page::{Cursor, Page};

pub(crate) use observe::{Progress, open_runs, outbox_depth, progress_of};
pub(crate) use row::Run;
pub(crate) use transitions::{attach_archive, expire_unstarted, request_cancel, start};

/// Filters of a list; `None` does not filter.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub projects: Option<Vec<ProjectId>>,
    pub status: Option<RunStatus>,
    pub batch: Option<BatchId>,
    /// Inclusive.
    pub created_after: Option<Timestamp>,
    /// Exclusive.
    pub created_before: Option<Timestamp>,
    pub metadata: BTreeMap<String, String>,
}

/// A new run; `queued_at` if it is started already.
pub(crate) async fn insert(
    client: &impl GenericClient,
    org: &OrgId,
    run: &Run,
    queued_at: Option<Timestamp>,
) -> Result<(), DbError> {
    let sql = "insert into ingest.runs (id, org_id, project_id, status, command, template_id, template_slug,
            template_version, template_version_id, artifacts, metadata, source_metadata, timeout_ms,
            traceparent, created_at, archive_sha256, archive_size, uploaded_at, queued_at, batch_id,
            env_keys, template_root_fs, network)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
            $21, $22, $23)";
    let archive = run.archive.as_ref();
    execute(
        client,
        sql,
        &[
            &run.id.as_str(),
            &org.as_str(),
            &run.project_id.as_str(),
            &run.status.as_str(),
            &run.command,
            &run.template.id.as_str(),
            &run.template.slug,
            &run.template.version,
            &run.template.version_id.as_str(),
            &Json(&run.artifacts),
            &Json(&run.metadata),
            &run.source_metadata.as_ref().map(Json),
            &signed(run.timeout_ms),
            &run.traceparent,
            &run.created_at.into_inner(),
            &archive.map(|archive| archive.sha256.as_str()),
            &archive.map(|archive| signed(archive.size_bytes)),
            &archive.and_then(|archive| archive.uploaded_at).map(Timestamp::into_inner),
            &queued_at.map(Timestamp::into_inner),
            &run.batch_id.as_ref().map(BatchId::as_str),
            &run.env_keys,
            &run.template.root_fs.as_ref().map(Json),
            &run.network.map(RunNetwork::as_str),
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn find(client: &impl GenericClient, org: &OrgId, id: &RunId) -> Result<Option<Run>, DbError> {
    let sql = "select * from ingest.runs where org_id = $1 and id = $2";
    optional(client, sql, &[&org.as_str(), &id.as_str()]).await?.map(|row| Run::from_row(&row)).transpose()
}

/// Finds the run and keeps everybody else from changing it until the transaction ends.
pub(crate) async fn lock(client: &impl GenericClient, org: &OrgId, id: &RunId) -> Result<Option<Run>, DbError> {
    let sql = "select * from ingest.runs where org_id = $1 and id = $2 for update";
    optional(client, sql, &[&org.as_str(), &id.as_str()]).await?.map(|row| Run::from_row(&row)).transpose()
}

/// Newest first, and how many there are, which is one more than the page holds if there is one. Rows beyond about `max_bytes`
/// are only counted.
pub(crate) async fn list(
    client: &impl GenericClient,
    org: &OrgId,
    filter: &Filter,
    page: &Page,
    max_bytes: i64,
) -> Result<(Vec<(Run, Cursor)>, usize), DbError> {
    let sql = "with page as (
        select * from ingest.runs
        where org_id = $1
          and ($2::text[] is null or project_id = any ($2))
          and ($3::text is null or status = $3)
          and metadata @> $4
          and ($5::timestamptz is null or (created_at, id) < ($5, $6::text))
          and ($8::text is null or batch_id = $8)
          and ($9::timestamptz is null or created_at >= $9)
          and ($10::timestamptz is null or created_at < $10)
        order by created_at desc, id desc limit $7
        ), sized as (
            select page.*, count(*) over () as total,
                octet_length(command) + octet_length(metadata::text) + octet_length(artifacts::text)
                    + octet_length(result::text) + coalesce(octet_length(source_metadata::text), 0) as bytes
            from page
        ), summed as (
            select sized.*, sum(bytes) over (order by created_at desc, id desc) - bytes as before from sized
        )
        select * from summed where before < $11 order by created_at desc, id desc";
    let projects: Option<Vec<&str>> = filter.projects.as_ref().map(|ids| ids.iter().map(ProjectId::as_str).collect());
    let status = filter.status.map(RunStatus::as_str);
    let (at, id) = page.after();
    let params: Params<'_> = &[
        &org.as_str(),
        &projects,
        &status,
        &Json(&filter.metadata),
        &at,
        &id,
        &page.one_more(),
        &filter.batch.as_ref().map(BatchId::as_str),
        &filter.created_after.map(Timestamp::into_inner),
        &filter.created_before.map(Timestamp::into_inner),
        &max_bytes,
    ];
    let found = rows(client, sql, params).await?;
    let total = found.first().map_or(Ok(0), |row| row.try_get::<_, i64>("total"))?;
    let runs = found.iter().map(|row| Ok((Run::from_row(row)?, Cursor::of(row)?)));
    Ok((runs.collect::<Result<_, DbError>>()?, usize::try_from(total).unwrap_or(0)))
}

/// The project of the run that this sandbox was made for.
pub(crate) async fn project_of_sandbox(
    client: &impl GenericClient,
    org: &OrgId,
    sandbox: &SandboxId,
) -> Result<Option<ProjectId>, DbError> {
    let sql = "select project_id from ingest.attempts join ingest.runs on runs.id = run_id
        where sandbox_id = $1 and org_id = $2";
    let found = optional(client, sql, &[&sandbox.as_str(), &org.as_str()]).await?;
    found.map(|row| parsed(&row, "project_id")).transpose()
}
