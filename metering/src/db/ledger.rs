//! `metering.ledger`: append-only, one row for each usage event, however often it is redelivered.

use std::collections::HashSet;

use database::row::{DbError, rows, signed};
use database::{GenericClient, Row};
use schemas::message::usage::UsageEvent;

/// Returns the events that were not known before.
pub(crate) async fn insert<'a>(
    client: &impl GenericClient,
    events: &[&'a UsageEvent],
) -> Result<Vec<&'a UsageEvent>, DbError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let column = |f: fn(&UsageEvent) -> &str| events.iter().map(|event| f(event)).collect::<Vec<&str>>();
    let quantities: Vec<i64> = events.iter().map(|event| signed(event.data.quantity_millis)).collect();
    let times: Vec<_> = events.iter().map(|event| event.time.into_inner()).collect();
    let sql = "insert into metering.ledger (event_id, org_id, project_id, run_id, meter, quantity_millis, occurred_at)
               select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[],
                   $7::timestamptz[])
               on conflict (event_id) do nothing returning event_id";
    let inserted = rows(
        client,
        sql,
        &[
            &column(|event| &event.id),
            &column(|event| event.data.org_id.as_str()),
            &column(|event| event.data.project_id.as_str()),
            &column(|event| event.subject.as_str()),
            &column(|event| event.data.meter.as_str()),
            &quantities,
            &times,
        ],
    )
    .await?;
    let id = |row: &Row| Ok(row.try_get("event_id")?);
    let mut new = inserted.iter().map(id).collect::<Result<HashSet<String>, DbError>>()?;
    // `remove`, so that a twin within one group counts once.
    Ok(events.iter().copied().filter(|event| new.remove(&event.id)).collect())
}
