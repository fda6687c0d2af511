//! Table `ingest.uploads`: staged uploads of one run's archive.

use std::time::Duration;

use database::GenericClient;
use database::row::{DbError, Params, execute, one, optional, parsed, rows, signed, timestamp, unsigned};
use schemas::Timestamp;
use schemas::api::archive::TransferStatus;
use schemas::id::{OrgId, RunId, UploadId};
use tokio_postgres::Row;

use crate::archive::{Declared, staging_key};

const COLUMNS: &str = "id, run_id, sha256, size_bytes, status, expires_at, staging_key";

/// Validity of a presigned URL; asking again gives another URL.
pub(crate) const PRESIGNED_FOR: Duration = Duration::from_hours(1);

#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub id: UploadId,
    pub run_id: RunId,
    pub archive: Declared,
    /// The stored status. `expired` is never stored, it follows from the time.
    pub status: TransferStatus,
    pub expires_at: Timestamp,
    /// Key under which the client may put the bytes itself.
    pub staging_key: Option<String>,
}

impl Upload {
    /// The status at this moment.
    pub(crate) fn status_now(&self) -> TransferStatus {
        if self.status != TransferStatus::Finalized && self.expires_at <= Timestamp::now() {
            return TransferStatus::Expired;
        }
        self.status
    }
}

pub(crate) async fn insert(
    client: &impl GenericClient,
    org: &OrgId,
    run: &RunId,
    archive: &Declared,
    status: TransferStatus,
    expires_at: Timestamp,
    in_store: bool,
) -> Result<Upload, DbError> {
    let sql = format!(
        "insert into ingest.uploads (id, org_id, run_id, sha256, size_bytes, status, expires_at, staging_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8) returning {COLUMNS}"
    );
    let (id, size) = (UploadId::new(), signed(archive.size_bytes));
    let staging_key = in_store.then(|| staging_key(org, &id));
    let (status, expires) = (status.as_str(), expires_at.into_inner());
    let params: Params<'_> =
        &[&id.as_str(), &org.as_str(), &run.as_str(), &archive.sha256, &size, &status, &expires, &staging_key];
    upload(&one(client, &sql, params).await?)
}

/// Uploads of the organization that wait for their bytes.
pub(crate) async fn count_open(client: &impl GenericClient, org: &OrgId) -> Result<i64, DbError> {
    let sql = "select count(*) from ingest.uploads where org_id = $1 and status = 'pending' and expires_at > now()";
    Ok(one(client, sql, &[&org.as_str()]).await?.try_get(0)?)
}

pub(crate) async fn find(client: &impl GenericClient, org: &OrgId, id: &UploadId) -> Result<Option<Upload>, DbError> {
    let sql = format!("select {COLUMNS} from ingest.uploads where org_id = $1 and id = $2");
    optional(client, &sql, &[&org.as_str(), &id.as_str()]).await?.map(|row| upload(&row)).transpose()
}

/// The newest upload of this archive to this run that has not expired: asking again resumes it.
pub(crate) async fn find_current(
    client: &impl GenericClient,
    org: &OrgId,
    run: &RunId,
    archive: &Declared,
) -> Result<Option<Upload>, DbError> {
    let sql = format!(
        "select {COLUMNS} from ingest.uploads
         where org_id = $1 and run_id = $2 and sha256 = $3 and size_bytes = $4
           and (status = 'finalized' or expires_at > now())
         order by created_at desc limit 1"
    );
    let params: Params<'_> = &[&org.as_str(), &run.as_str(), &archive.sha256, &signed(archive.size_bytes)];
    optional(client, &sql, params).await?.map(|row| upload(&row)).transpose()
}

/// An upload only goes forward: `finalized` stays when the same bytes arrive again.
pub(crate) async fn set_status(
    client: &impl GenericClient,
    org: &OrgId,
    id: &UploadId,
    status: TransferStatus,
) -> Result<(), DbError> {
    let sql = "update ingest.uploads set status = $3 where org_id = $1 and id = $2 and status <> 'finalized'";
    execute(client, sql, &[&org.as_str(), &id.as_str(), &status.as_str()]).await?;
    Ok(())
}

/// Lists expired uploads whose staged objects no presigned URL can write any more.
pub(crate) async fn staged_and_over(
    client: &impl GenericClient,
    grace: Duration,
    limit: i64,
) -> Result<Vec<(UploadId, String)>, DbError> {
    let sql = "select id, staging_key from ingest.uploads
        where staging_key is not null and expires_at < now() - make_interval(secs => $1)
        order by expires_at limit $2";
    let found = rows(client, sql, &[&grace.as_secs_f64(), &limit]).await?;
    found.iter().map(|row| Ok((parsed(row, "id")?, row.try_get("staging_key")?))).collect()
}

pub(crate) async fn forget_staged(client: &impl GenericClient, id: &UploadId) -> Result<(), DbError> {
    execute(client, "update ingest.uploads set staging_key = null where id = $1", &[&id.as_str()]).await?;
    Ok(())
}

fn upload(row: &Row) -> Result<Upload, DbError> {
    Ok(Upload {
        id: parsed(row, "id")?,
        run_id: parsed(row, "run_id")?,
        archive: Declared { sha256: row.try_get("sha256")?, size_bytes: unsigned(row, "size_bytes")? },
        status: parsed(row, "status")?,
        expires_at: timestamp(row, "expires_at")?,
        staging_key: row.try_get("staging_key")?,
    })
}
