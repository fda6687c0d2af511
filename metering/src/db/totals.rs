//! `metering.totals`: sums of the ledger by organization, period, project and meter.

use database::GenericClient;
use database::row::{DbError, execute, signed};
use schemas::message::usage::UsageEvent;

/// Adds events that were not counted before.
pub(crate) async fn add(client: &impl GenericClient, events: &[&UsageEvent]) -> Result<(), DbError> {
    if events.is_empty() {
        return Ok(());
    }
    let column = |f: fn(&UsageEvent) -> &str| events.iter().map(|event| f(event)).collect::<Vec<&str>>();
    let quantities: Vec<i64> = events.iter().map(|event| signed(event.data.quantity_millis)).collect();
    let times: Vec<_> = events.iter().map(|event| event.time.into_inner()).collect();
    // In the order of the key, so that two groups lock the rows in one order.
    let sql = "insert into metering.totals (org_id, period, project_id, meter, quantity_millis)
               select org_id, metering.period_of(occurred_at), project_id, meter,
                   least(sum(quantity_millis), 9223372036854775807)::int8
               from unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::timestamptz[])
                   as used (org_id, project_id, meter, quantity_millis, occurred_at)
               group by 1, 2, 3, 4 order by 1, 2, 3, 4
               on conflict (org_id, period, project_id, meter)
               do update set quantity_millis =
                   least(totals.quantity_millis::numeric + excluded.quantity_millis, 9223372036854775807)::int8";
    let orgs = column(|event| event.data.org_id.as_str());
    let projects = column(|event| event.data.project_id.as_str());
    let meters = column(|event| event.data.meter.as_str());
    execute(client, sql, &[&orgs, &projects, &meters, &quantities, &times]).await.map(drop)
}
