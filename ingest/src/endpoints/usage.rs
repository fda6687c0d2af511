//! `GET /v1/usage`: the organization's usage in the current calendar month, UTC.

use std::collections::BTreeMap;

use axum::Json;
use schemas::Timestamp;
use schemas::api::usage::{Credits, Period, Quota, UsageSummary, Used};
use schemas::message::usage::Meter;
use schemas::scope::Scope;
use time::{Date, OffsetDateTime};

use crate::db::metering::{self, Usage};
use crate::http::error::ApiError;
use crate::operation::{Call, Operation, examples, json};

const PRICING_VERSION: &str = "2026-01";
const COMPUTE_UNIT_SECONDS_PER_CREDIT: f64 = 1000.0;

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/usage", "getUsage", "The organization's usage in this calendar month (UTC)")
        .scope(Scope::UsageRead)
        .answers(200, json::<UsageSummary>(examples::usage));

pub(crate) async fn handle(call: Call, (): ()) -> Result<Json<UsageSummary>, ApiError> {
    let usage = metering::usage_summary(&call.app.pool.get().await?, call.caller.org()).await?;
    // An organization without an account has used nothing, and nothing limits it.
    let usage = usage.unwrap_or_else(|| Usage::none_since(first_of_month(OffsetDateTime::now_utc().date())));
    Ok(Json(summary(usage, call.app.config.currency_per_credit)))
}

/// When the period that holds this day starts over.
pub(crate) fn period_end(day: Date) -> Timestamp {
    let first = first_of_month(day);
    // The 32nd day after the first of any month is in the next one.
    let next = first_of_month(first.saturating_add(time::Duration::days(32)));
    next.midnight().assume_utc().into()
}

fn first_of_month(day: Date) -> Date {
    day.replace_day(1).unwrap_or(day)
}

fn summary(usage: Usage, currency_per_credit: f64) -> UsageSummary {
    let end = period_end(usage.period_start);
    let totals: BTreeMap<String, f64> =
        usage.totals.into_iter().map(|(meter, millis)| (meter, millis / 1000.0)).collect();
    let compute = Meter::ComputeUnitSeconds.as_str();
    let used = totals.get(compute).copied().unwrap_or(0.0);
    let mut quotas = BTreeMap::new();
    if let Some(limit) = usage.concurrent_runs.map(f64::from) {
        #[expect(clippy::cast_precision_loss, reason = "a count of running sandboxes is far below 2^53")]
        let current = usage.active as f64;
        let quota =
            Quota { limit, current: Some(current), remaining: Some((limit - current).max(0.0)), reset_at: None };
        quotas.insert("concurrent_sandboxes".to_owned(), quota);
    }
    let mut remaining = None;
    if let Some(limit) = usage.compute_unit_seconds_per_month {
        #[expect(clippy::cast_precision_loss, reason = "the seconds of all machines in a month are far below 2^53")]
        let limit = limit as f64;
        let left = (limit - used).max(0.0);
        remaining = Some(left / COMPUTE_UNIT_SECONDS_PER_CREDIT);
        let quota = Quota { limit, current: Some(used), remaining: Some(left), reset_at: Some(end) };
        quotas.insert(compute.to_owned(), quota);
    }
    UsageSummary {
        period: Period { start: usage.period_start.midnight().assume_utc().into(), end, reset_at: end },
        pricing_version: PRICING_VERSION.to_owned(),
        compute_unit_seconds_per_credit: COMPUTE_UNIT_SECONDS_PER_CREDIT,
        currency_per_credit,
        compute_unit_seconds: Used { used },
        credits: Credits { used: used / COMPUTE_UNIT_SECONDS_PER_CREDIT, remaining },
        quotas,
        events: Some(totals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn the_period_is_a_calendar_month() {
        for (day, end) in [
            (date!(2026 - 01 - 31), "2026-02-01T00:00:00.000Z"),
            (date!(2026 - 02 - 01), "2026-03-01T00:00:00.000Z"),
            (date!(2026 - 12 - 05), "2027-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(period_end(day).to_string(), end);
        }
    }

    #[test]
    fn quotas_exist_only_where_something_is_limited() {
        let mut usage = Usage::none_since(date!(2026 - 03 - 01));
        usage.totals.insert("compute_unit_seconds".to_owned(), 2_500_000.0);
        usage.compute_unit_seconds_per_month = Some(2000);
        let summary = summary(usage, 0.0);
        assert!((summary.credits.used - 2.5).abs() < 1e-9);
        assert_eq!(summary.quotas.len(), 1);
        assert_eq!(summary.quotas["compute_unit_seconds"].remaining, Some(0.0));
    }
}
