//! Table `ingest.idempotency`: stored answers, for repeated requests.

use database::GenericClient;
use database::row::{DbError, execute, one, optional};
use schemas::id::{ApiKeyId, OrgId};
use tokio_postgres::Row;

/// The namespace of a key.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'a> {
    pub org: &'a OrgId,
    pub credential: &'a ApiKeyId,
    pub method: &'static str,
    pub route: &'static str,
    pub key: &'a str,
}

#[derive(Debug)]
pub(crate) struct Stored {
    pub fingerprint: Vec<u8>,
    pub status_code: u16,
    pub answer: serde_json::Value,
}

/// Takes the lock until the transaction ends; returns false when another transaction has it.
pub(crate) async fn try_lock(client: &impl GenericClient, lock: i64) -> Result<bool, DbError> {
    Ok(one(client, "select pg_try_advisory_xact_lock($1)", &[&lock]).await?.try_get(0)?)
}

pub(crate) async fn find(client: &impl GenericClient, scope: &Scope<'_>) -> Result<Option<Stored>, DbError> {
    let sql = "select fingerprint, status_code, answer from ingest.idempotency
        where org_id = $1 and credential_id = $2 and method = $3 and route = $4 and key = $5";
    let Scope { org, credential, method, route, key } = scope;
    let found = optional(client, sql, &[&org.as_str(), &credential.as_str(), method, route, key]).await?;
    found.map(|row| stored(&row)).transpose()
}

pub(crate) async fn insert(
    client: &impl GenericClient,
    scope: &Scope<'_>,
    fingerprint: &[u8],
    status_code: u16,
    answer: &serde_json::Value,
) -> Result<(), DbError> {
    let sql = "insert into ingest.idempotency
            (org_id, credential_id, method, route, key, fingerprint, status_code, answer)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let Scope { org, credential, method, route, key } = scope;
    let status = i32::from(status_code);
    execute(client, sql, &[&org.as_str(), &credential.as_str(), method, route, key, &fingerprint, &status, answer])
        .await?;
    Ok(())
}

/// Deletes at most `limit` answers that are older than `age_s` seconds, and returns how many there were.
pub(crate) async fn delete_old(client: &impl GenericClient, age_s: f64, limit: i64) -> Result<u64, DbError> {
    let sql = "delete from ingest.idempotency where ctid = any (array(
        select ctid from ingest.idempotency where created_at < now() - make_interval(secs => $1)
        order by created_at limit $2))";
    execute(client, sql, &[&age_s, &limit]).await
}

fn stored(row: &Row) -> Result<Stored, DbError> {
    let status: i32 = row.try_get("status_code")?;
    Ok(Stored {
        fingerprint: row.try_get("fingerprint")?,
        status_code: u16::try_from(status)
            .map_err(|error| DbError::Column { column: "status_code", source: error.into() })?,
        answer: row.try_get("answer")?,
    })
}
