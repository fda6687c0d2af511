//! Examples about usage.

use std::collections::BTreeMap;

use schemas::api::usage::{Credits, Period, UsageSummary, Used};
use serde_json::Value;

use super::{at, written};

pub(crate) fn usage() -> Value {
    let (month, next) = (at(0), at(28 * 86_400_000));
    written(UsageSummary {
        period: Period { start: month, end: next, reset_at: next },
        pricing_version: "2026-01".to_owned(),
        compute_unit_seconds_per_credit: 1000.0,
        currency_per_credit: 0.0,
        compute_unit_seconds: Used { used: 4.21 },
        credits: Credits { used: 0.004_21, remaining: None },
        quotas: BTreeMap::new(),
        events: Some(BTreeMap::from([("command_invocations".to_owned(), 1.0)])),
    })
}
