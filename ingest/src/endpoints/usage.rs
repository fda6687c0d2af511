//! `GET /v1/usage`: the organization's usage in the current calendar month, UTC; for a key that is limited to projects, what
//! they used of it.

use std::collections::BTreeMap;

use axum::Json;
use schemas::api::usage::{Credits, Period, Quota, UsageSummary, Used};
use schemas::message::usage::Meter;
use schemas::scope::Scope;

use crate::db::metering::{self, Usage};
use crate::http::error::ApiError;
use crate::operation::{Call, Operation, examples, json};

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/usage", "getUsage", "The organization's usage in this calendar month (UTC)")
        .scope(Scope::UsageRead)
        .answers(200, json::<UsageSummary>(examples::usage));

pub(crate) async fn handle(call: Call, (): ()) -> Result<Json<UsageSummary>, ApiError> {
    let only = call.caller.only_projects();
    let mut usage = metering::usage_summary(&call.app.pool.get().await?, call.caller.org(), only).await?;
    if only.is_some() {
        // What is left tells what the other projects have used.
        (usage.concurrent_runs, usage.compute_unit_seconds_per_month) = (None, None);
    }
    Ok(Json(summary(usage, call.app.config.currency_per_credit)))
}

fn summary(usage: Usage, currency_per_credit: f64) -> UsageSummary {
    let (end, per_credit) = (usage.period_end, usage.compute_unit_seconds_per_credit);
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
        remaining = Some(left / per_credit);
        let quota = Quota { limit, current: Some(used), remaining: Some(left), reset_at: Some(end) };
        quotas.insert(compute.to_owned(), quota);
    }
    UsageSummary {
        period: Period { start: usage.period_start.midnight().assume_utc().into(), end, reset_at: end },
        pricing_version: usage.pricing_version,
        compute_unit_seconds_per_credit: per_credit,
        currency_per_credit,
        compute_unit_seconds: Used { used },
        credits: Credits { used: used / per_credit, remaining },
        quotas,
        events: Some(totals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn quotas_exist_only_where_something_is_limited() {
        let usage = Usage {
            period_start: date!(2026 - 03 - 01),
            period_end: date!(2026 - 04 - 01).midnight().assume_utc().into(),
            concurrent_runs: None,
            compute_unit_seconds_per_month: Some(2000),
            active: 0,
            totals: BTreeMap::from([("compute_unit_seconds".to_owned(), 2_500_000.0)]),
            pricing_version: "2026-01".to_owned(),
            compute_unit_seconds_per_credit: 1000.0,
        };
        let summary = summary(usage, 0.0);
        assert!((summary.credits.used - 2.5).abs() < 1e-9);
        assert_eq!(summary.quotas.len(), 1);
        assert_eq!(summary.quotas["compute_unit_seconds"].remaining, Some(0.0));
    }
}
