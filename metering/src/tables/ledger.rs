//! `metering.ledger`: append-only, one row for each usage event, whatever is redelivered.

use std::collections::HashSet;

use database::{Error, GenericClient};
use schemas::message::usage::UsageEvent;

/// Returns the events that were not known before.
pub(crate) async fn insert<'a>(
    client: &impl GenericClient,
    events: &[&'a UsageEvent],
) -> Result<Vec<&'a UsageEvent>, Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let column = |f: fn(&UsageEvent) -> &str| events.iter().map(|event| f(event)).collect::<Vec<&str>>();
    let quantities: Vec<i64> =
        events.iter().map(|event| i64::try_from(event.data.quantity_millis).unwrap_or(i64::MAX)).collect();
    let times: Vec<_> = events.iter().map(|event| event.time.into_inner()).collect();
    let sql = "insert into metering.ledger (event_id, org_id, project_id, run_id, meter, quantity_millis, occurred_at)
               select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[],
                   $7::timestamptz[])
               on conflict (event_id) do nothing returning event_id";
    let statement = client.prepare_cached(sql).await?;
    let rows = client
        .query(
            &statement,
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
    let mut fresh: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    // `remove`, so that a twin within one batch counts once.
    Ok(events.iter().copied().filter(|event| fresh.remove(&event.id)).collect())
}
