//! A comparison for people: a line for each difference, and one line for everything that is equal.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::compare::{Amount, Change, Comparison, TestComparison};
use crate::commands::run_record;
use crate::output::{Table, escape, text_of};

/// Cases of one kind that are listed; `--json` has all.
const CASES: usize = 20;
const DIGEST_CHARS: usize = 12;

pub(super) fn text(comparison: &Comparison) -> String {
    let mut table = Table::new(&["", "A", "B", "B/A"]);
    table.row(&["run", &text_of(&comparison.a), &text_of(&comparison.b), ""]);
    let mut same = Vec::new();
    for fact in &comparison.facts {
        let is_absent = fact.a.is_null() && fact.b.is_null();
        if fact.name == "outcome" || !fact.same {
            table.row(&[&words(fact.name), &short(fact.name, &fact.a), &short(fact.name, &fact.b), ""]);
        } else if !is_absent {
            same.push(words(fact.name));
        }
    }
    if let Some(tests) = &comparison.tests {
        let counts = |counts: &Value| run_record::tests(&json!({ "tests": counts })).unwrap_or_default();
        table.row(&["tests", &counts(&tests.a), &counts(&tests.b), ""]);
    }
    for amount in &comparison.amounts {
        if amount.name == "commandMs" || amount.a != amount.b {
            let ratio = amount.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            table.row(&[&label(amount), &value(amount.a), &value(amount.b), &ratio]);
        }
    }
    let mut text = table.to_string();
    if !same.is_empty() {
        let _ = writeln!(text, "\nsame: {}", same.join(", "));
    }
    artifacts(comparison, &mut text);
    if let Some(tests) = &comparison.tests {
        cases(tests, &mut text);
    }
    text
}

fn artifacts(comparison: &Comparison, text: &mut String) {
    let equal = comparison.artifacts.iter().filter(|artifact| artifact.change == Change::Equal).count();
    if !comparison.artifacts.is_empty() {
        let _ = writeln!(text, "\nartifacts: {equal} equal");
    }
    for artifact in &comparison.artifacts {
        let change = match artifact.change {
            Change::Equal => continue,
            Change::Changed => "changed",
            Change::OnlyInA => "only in A",
            Change::OnlyInB => "only in B",
        };
        let _ = writeln!(text, "  {change:9}  {}", escape::line(&artifact.path));
    }
}

fn cases(tests: &TestComparison, text: &mut String) {
    if let Some(reason) = &tests.cases_not_compared {
        let _ = writeln!(text, "\ntests: not compared one by one: {}", escape::line(reason));
    }
    let Some(changes) = tests.cases.as_ref().filter(|changes| !changes.is_empty()) else { return };
    text.push_str("\ntests:\n");
    for (list, cases) in changes.lists() {
        for case in cases.iter().take(CASES) {
            let place = case.class_name.as_ref().or(case.suite.as_ref());
            let name = place.map_or_else(|| case.name.clone(), |place| format!("{place} > {}", case.name));
            let _ = writeln!(text, "  {list:13}  {}", escape::line(&name));
        }
        if cases.len() > CASES {
            let _ = writeln!(text, "  {list:13}  … and {} more; --json has all", cases.len() - CASES);
        }
    }
}

/// `failureReason` as `failure reason`.
fn words(name: &str) -> String {
    name.chars().flat_map(|c| [c.is_ascii_uppercase().then_some(' '), Some(c.to_ascii_lowercase())]).flatten().collect()
}

/// `memoryPeakBytes` as `memory peak (bytes)`.
fn label(amount: &Amount) -> String {
    let name = words(amount.name);
    match name.rsplit_once(' ') {
        Some((what, unit @ ("ms" | "bytes"))) => format!("{what} ({unit})"),
        _ => name,
    }
}

fn value(amount: Option<u64>) -> String {
    amount.map(|amount| amount.to_string()).unwrap_or_default()
}

/// A digest is recognized by its beginning.
fn short(name: &str, value: &Value) -> String {
    let text = text_of(value);
    match name {
        "archive" | "templateDigest" => text.trim_start_matches("sha256:").chars().take(DIGEST_CHARS).collect(),
        _ => text,
    }
}
