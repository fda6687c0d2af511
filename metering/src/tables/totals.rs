//! `metering.totals`: sums of the ledger by organization, calendar month, project and meter.

use std::collections::BTreeMap;

use database::{Error, GenericClient};
use schemas::message::usage::UsageEvent;

pub(crate) async fn add(client: &impl GenericClient, events: &[&UsageEvent]) -> Result<(), Error> {
    let mut sums: BTreeMap<(&str, time::Date, &str, &str), i64> = BTreeMap::new();
    for event in events {
        let day = event.time.date();
        let month = day.replace_day(1).unwrap_or(day);
        let data = &event.data;
        let key = (data.org_id.as_str(), month, data.project_id.as_str(), data.meter.as_str());
        let quantity = i64::try_from(data.quantity_millis).unwrap_or(i64::MAX);
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(quantity);
    }
    if sums.is_empty() {
        return Ok(());
    }
    let orgs: Vec<&str> = sums.keys().map(|key| key.0).collect();
    let months: Vec<time::Date> = sums.keys().map(|key| key.1).collect();
    let projects: Vec<&str> = sums.keys().map(|key| key.2).collect();
    let meters: Vec<&str> = sums.keys().map(|key| key.3).collect();
    let quantities: Vec<i64> = sums.values().copied().collect();
    // Sorted by key, so that two batches lock the rows in one order.
    let sql = "insert into metering.totals (org_id, period, project_id, meter, quantity_millis)
               select * from unnest($1::text[], $2::date[], $3::text[], $4::text[], $5::int8[])
               on conflict (org_id, period, project_id, meter)
               do update set quantity_millis = totals.quantity_millis + excluded.quantity_millis";
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&orgs, &months, &projects, &meters, &quantities]).await?;
    Ok(())
}
