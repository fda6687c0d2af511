//! Tables `ingest.webhooks` and `ingest.webhook_deliveries`. Messages come from `ingest.end_runs`.

use std::time::Duration;

use database::GenericClient;
use database::row::{
    DbError, Params, execute, one, optional, optional_parsed, optional_timestamp, parsed, rows, timestamp, unsigned_32,
};
use infra::config::Secret;
use schemas::Timestamp;
use schemas::api::webhook::{Delivery, DeliveryStatus, Webhook};
use schemas::id::{DeliveryId, OrgId, ProjectId, RunId, WebhookId};
use tokio_postgres::Row;

use crate::db::page::{Cursor, Page};

const COLUMNS: &str = "id, org_id, project_id, url, created_at, disabled_at";
const DELIVERY: &str = "id, webhook_id, run_id, type, status, attempts, next_attempt_at, last_attempt_at, \
                        response_status, error, created_at";

pub(crate) async fn insert(
    client: &impl GenericClient,
    org: &OrgId,
    project: Option<&ProjectId>,
    url: &str,
    secret: &[u8],
) -> Result<Webhook, DbError> {
    let sql = format!(
        "insert into ingest.webhooks (id, org_id, project_id, url, secret) values ($1, $2, $3, $4, $5)
         returning {COLUMNS}"
    );
    let (id, project) = (WebhookId::new(), project.map(ProjectId::as_str));
    webhook(&one(client, &sql, &[&id.as_str(), &org.as_str(), &project, &url, &secret]).await?)
}

pub(crate) async fn count(client: &impl GenericClient, org: &OrgId) -> Result<i64, DbError> {
    Ok(one(client, "select count(*) from ingest.webhooks where org_id = $1", &[&org.as_str()]).await?.try_get(0)?)
}

pub(crate) async fn find(client: &impl GenericClient, org: &OrgId, id: &WebhookId) -> Result<Option<Webhook>, DbError> {
    let sql = format!("select {COLUMNS} from ingest.webhooks where org_id = $1 and id = $2");
    optional(client, &sql, &[&org.as_str(), &id.as_str()]).await?.map(|row| webhook(&row)).transpose()
}

/// Newest first; one more than the page holds, if there is one. `only` is what a limited key may see.
pub(crate) async fn list(
    client: &impl GenericClient,
    org: &OrgId,
    only: Option<&[ProjectId]>,
    page: &Page,
) -> Result<Vec<(Webhook, Cursor)>, DbError> {
    let sql = format!(
        "select {COLUMNS} from ingest.webhooks
         where org_id = $1 and ($2::text[] is null or project_id = any ($2))
           and ($3::timestamptz is null or (created_at, id) < ($3, $4::text))
         order by created_at desc, id desc limit $5"
    );
    let only: Option<Vec<&str>> = only.map(|ids| ids.iter().map(ProjectId::as_str).collect());
    let (at, id) = page.after();
    let found = rows(client, &sql, &[&org.as_str(), &only, &at, &id, &page.one_more()]).await?;
    found.iter().map(|row| Ok((webhook(row)?, Cursor::of(row)?))).collect()
}

/// Deletes a webhook and its messages.
pub(crate) async fn delete(client: &impl GenericClient, id: &WebhookId) -> Result<(), DbError> {
    execute(client, "delete from ingest.webhooks where id = $1", &[&id.as_str()]).await?;
    Ok(())
}

pub(crate) async fn disable(client: &impl GenericClient, id: &WebhookId) -> Result<(), DbError> {
    let sql = "update ingest.webhooks set disabled_at = coalesce(disabled_at, now()) where id = $1";
    execute(client, sql, &[&id.as_str()]).await?;
    Ok(())
}

/// Lists the messages of a webhook, newest first.
pub(crate) async fn deliveries(
    client: &impl GenericClient,
    id: &WebhookId,
    page: &Page,
) -> Result<Vec<(Delivery, Cursor)>, DbError> {
    let sql = format!(
        "select {DELIVERY} from ingest.webhook_deliveries
         where webhook_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3::text))
         order by created_at desc, id desc limit $4"
    );
    let (at, after) = page.after();
    let found = rows(client, &sql, &[&id.as_str(), &at, &after, &page.one_more()]).await?;
    found.iter().map(|row| Ok((delivery(row)?, Cursor::of(row)?))).collect()
}

pub(crate) async fn webhook_of(
    client: &impl GenericClient,
    org: &OrgId,
    id: &DeliveryId,
) -> Result<Option<WebhookId>, DbError> {
    let sql = "select webhook_id from ingest.webhook_deliveries where org_id = $1 and id = $2";
    let found = optional(client, sql, &[&org.as_str(), &id.as_str()]).await?;
    found.map(|row| parsed(&row, "webhook_id")).transpose()
}

/// Makes a message due again, from its first attempt on.
pub(crate) async fn redeliver(client: &impl GenericClient, id: &DeliveryId) -> Result<Delivery, DbError> {
    let sql = format!(
        "update ingest.webhook_deliveries set status = 'pending', attempts = 0, next_attempt_at = now()
         where id = $1 returning {DELIVERY}"
    );
    delivery(&one(client, &sql, &[&id.as_str()]).await?)
}

/// A message that is to be sent now.
#[derive(Debug)]
pub(crate) struct Due {
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub org: OrgId,
    pub run: RunId,
    pub kind: String,
    pub created_at: Timestamp,
    /// This attempt included.
    pub attempt: u32,
    pub url: String,
    pub secret: Vec<u8>,
}

/// What is being sent at this moment: the webhook and the organization of each message.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    pub webhooks: Vec<WebhookId>,
    pub orgs: Vec<OrgId>,
}

/// Maximum messages that are sent at the same time: to one webhook, of one organization, and now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtOnce {
    pub of_webhook: i64,
    pub of_org: i64,
    pub now: i64,
}

/// Takes due messages: organizations get their turn one after the other, whatever each of them has waiting. A webhook whose
/// receiver does not answer is tried with one message at a time. After `lease`, a message that was taken and not recorded is
/// due again.
pub(crate) async fn take_due(
    client: &impl GenericClient,
    lease: Duration,
    sending: &Sending,
    most: AtOnce,
) -> Result<Vec<Due>, DbError> {
    // The webhooks with pending messages are found by jumps through an index, however many messages wait.
    let sql = "with recursive waiting (webhook_id) as (
            (select webhook_id from ingest.webhook_deliveries where status = 'pending' order by webhook_id limit 1)
            union all
            select (select d.webhook_id from ingest.webhook_deliveries d
                where d.status = 'pending' and d.webhook_id > waiting.webhook_id order by d.webhook_id limit 1)
            from waiting where waiting.webhook_id is not null
        ), candidates as (
            select d.id, d.next_attempt_at, w.org_id
            from waiting join ingest.webhooks w on w.id = waiting.webhook_id
            cross join lateral (
                select count(*) as count from unnest($2::text[]) as busy (id) where busy.id = w.id) as busy
            cross join lateral (
                select d.id, d.next_attempt_at from ingest.webhook_deliveries d
                where d.webhook_id = w.id and d.status = 'pending' and d.next_attempt_at <= now()
                order by d.next_attempt_at
                limit greatest(0, case when w.failures > 0 then 1 else $4::bigint end - busy.count)) as d
            where w.paused_until is null or w.paused_until <= now()
        ), turns as (
            select id, next_attempt_at, row_number() over (partition by org_id order by next_attempt_at)
                + (select count(*) from unnest($3::text[]) as busy (id) where busy.id = org_id) as turn
            from candidates
        ), due as (
            select d.id from turns join ingest.webhook_deliveries d on d.id = turns.id
            where turns.turn <= $5 and d.status = 'pending' and d.next_attempt_at <= now()
            order by turns.turn, turns.next_attempt_at limit $6 for update of d skip locked
        )
        update ingest.webhook_deliveries d
        set attempts = attempts + 1, last_attempt_at = now(), next_attempt_at = now() + make_interval(secs => $1)
        from due, ingest.webhooks w
        where d.id = due.id and w.id = d.webhook_id
        returning d.id, d.webhook_id, d.org_id, d.run_id, d.type, d.created_at, d.attempts, w.url, w.secret";
    let webhooks: Vec<&str> = sending.webhooks.iter().map(WebhookId::as_str).collect();
    let orgs: Vec<&str> = sending.orgs.iter().map(OrgId::as_str).collect();
    let due = |row: &Row| {
        Ok(Due {
            id: parsed(row, "id")?,
            webhook: parsed(row, "webhook_id")?,
            org: parsed(row, "org_id")?,
            run: parsed(row, "run_id")?,
            kind: row.try_get("type")?,
            created_at: timestamp(row, "created_at")?,
            attempt: unsigned_32(row, "attempts")?,
            url: row.try_get("url")?,
            secret: row.try_get("secret")?,
        })
    };
    let params: Params<'_> = &[&lease.as_secs_f64(), &webhooks, &orgs, &most.of_webhook, &most.of_org, &most.now];
    rows(client, sql, params).await?.iter().map(due).collect()
}

/// Leaves a receiver alone that did not answer: for `first`, then for twice as long each time, up to `longest`. Attempts that
/// failed together count once.
pub(crate) async fn pause(
    client: &impl GenericClient,
    id: &WebhookId,
    first: Duration,
    longest: Duration,
) -> Result<(), DbError> {
    let sql = "update ingest.webhooks set failures = least(failures + 1, 30),
            paused_until = now() + make_interval(secs => least($2 * power(2, failures), $3))
        where id = $1 and (paused_until is null or paused_until <= now())";
    execute(client, sql, &[&id.as_str(), &first.as_secs_f64(), &longest.as_secs_f64()]).await?;
    Ok(())
}

/// Ends the pauses of a receiver that answered, or that its owner wants to be tried.
pub(crate) async fn resume(client: &impl GenericClient, id: &WebhookId) -> Result<(), DbError> {
    let sql = "update ingest.webhooks set failures = 0, paused_until = null where id = $1 and failures > 0";
    execute(client, sql, &[&id.as_str()]).await?;
    Ok(())
}

/// The secret of a webhook that still exists.
pub(crate) async fn secret(
    client: &impl GenericClient,
    org: &OrgId,
    id: &WebhookId,
) -> Result<Option<Secret>, DbError> {
    let sql = "select secret from ingest.webhooks where org_id = $1 and id = $2";
    let found = optional(client, sql, &[&org.as_str(), &id.as_str()]).await?;
    found.map(|row| Ok(shown(&row.try_get::<_, Vec<u8>>("secret")?))).transpose()
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempted {
    pub status: DeliveryStatus,
    pub retry_in: Duration,
    pub response_status: Option<u16>,
    pub error: Option<String>,
}

pub(crate) async fn record(client: &impl GenericClient, id: &DeliveryId, attempted: &Attempted) -> Result<(), DbError> {
    let sql = "update ingest.webhook_deliveries
        set status = $2, next_attempt_at = now() + make_interval(secs => $3), response_status = $4, error = $5
        where id = $1";
    let response = attempted.response_status.map(i32::from);
    let retry_s = attempted.retry_in.as_secs_f64();
    let params: Params<'_> = &[&id.as_str(), &attempted.status.as_str(), &retry_s, &response, &attempted.error];
    execute(client, sql, params).await?;
    Ok(())
}

/// Deletes at most `limit` messages that are older than `kept`, and returns how many there were.
pub(crate) async fn delete_old(client: &impl GenericClient, kept: Duration, limit: i64) -> Result<u64, DbError> {
    let sql = "delete from ingest.webhook_deliveries where id in (
            select id from ingest.webhook_deliveries where created_at < now() - make_interval(secs => $1) limit $2
        )";
    execute(client, sql, &[&kept.as_secs_f64(), &limit]).await
}

/// The secret in the form that clients get, once.
pub(crate) fn shown(secret: &[u8]) -> Secret {
    use base64::Engine as _;
    Secret::new(format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(secret)))
}

fn webhook(row: &Row) -> Result<Webhook, DbError> {
    Ok(Webhook {
        id: parsed(row, "id")?,
        org_id: parsed(row, "org_id")?,
        project_id: optional_parsed(row, "project_id")?,
        url: row.try_get("url")?,
        created_at: timestamp(row, "created_at")?,
        disabled_at: optional_timestamp(row, "disabled_at")?,
    })
}

fn delivery(row: &Row) -> Result<Delivery, DbError> {
    let status: DeliveryStatus = parsed(row, "status")?;
    let pending = status == DeliveryStatus::Pending;
    Ok(Delivery {
        id: parsed(row, "id")?,
        webhook_id: parsed(row, "webhook_id")?,
        workspace_run_id: parsed(row, "run_id")?,
        kind: row.try_get("type")?,
        status,
        attempts: unsigned_32(row, "attempts")?,
        created_at: timestamp(row, "created_at")?,
        last_attempt_at: optional_timestamp(row, "last_attempt_at")?,
        next_attempt_at: if pending { optional_timestamp(row, "next_attempt_at")? } else { None },
        response_status: row.try_get::<_, Option<i32>>("response_status")?.and_then(|code| u16::try_from(code).ok()),
        error: row.try_get("error")?,
    })
}
