//! The destinations that a run tried to reach: each visit is entered when it is over, by destination and result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemas::Timestamp;
use schemas::egress::{EgressAttempt, EgressPolicy, EgressReason, EgressReport, Host, MAX_LISTED};

use super::counted::Traffic;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    listed: HashMap<(Host, u16, Option<EgressReason>), EgressAttempt>,
    not_listed: u64,
}

/// A visit to a destination; entered when dropped, so that none is forgotten, however its connection ends.
#[derive(Debug)]
pub(super) struct Visit {
    ledger: Arc<Ledger>,
    host: Host,
    port: u16,
    reason: Option<EgressReason>,
    /// Bytes of the connection to the destination.
    pub(super) traffic: Arc<Traffic>,
    at: Timestamp,
}

impl Visit {
    pub(super) fn new(ledger: &Arc<Ledger>, host: Host, port: u16) -> Self {
        let ledger = Arc::clone(ledger);
        Self { ledger, host, port, reason: None, traffic: Arc::default(), at: Timestamp::now() }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The connection was not made, or had to be closed.
    pub(super) fn failed(&mut self, reason: EgressReason) {
        self.reason = Some(reason);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.ledger.enter(self);
    }
}

impl Ledger {
    fn enter(&self, attempt: &Visit) {
        // Every statement leaves the entries valid, so a panic elsewhere does not spoil them.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (attempt.host.clone(), attempt.port, attempt.reason);
        if entries.listed.len() >= MAX_LISTED && !entries.listed.contains_key(&key) {
            entries.not_listed += 1;
            return;
        }
        let entry = entries.listed.entry(key).or_insert_with(|| EgressAttempt {
            host: attempt.host.to_string(),
            port: attempt.port,
            allowed: !attempt.reason.is_some_and(is_refusal),
            reason: attempt.reason,
            count: 0,
            bytes_sent: 0,
            bytes_received: 0,
            first_at: attempt.at,
        });
        entry.count += 1;
        entry.bytes_sent += attempt.traffic.written();
        entry.bytes_received += attempt.traffic.read();
        entry.first_at = entry.first_at.min(attempt.at);
    }

    pub(super) fn report(&self, policy: &EgressPolicy) -> EgressReport {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut attempts: Vec<EgressAttempt> = entries.listed.values().cloned().collect();
        attempts.sort_by(|a, b| (a.first_at, &a.host, a.port).cmp(&(b.first_at, &b.host, b.port)));
        EgressReport { allow: policy.allow.clone(), attempts, attempts_not_listed: entries.not_listed }
    }
}

fn is_refusal(reason: EgressReason) -> bool {
    match reason {
        EgressReason::HostNotAllowed | EgressReason::AddressNotAllowed | EgressReason::ServerNameMismatch => true,
        EgressReason::NameNotResolved | EgressReason::Unreachable => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(ledger: &Arc<Ledger>, host: &str, reason: Option<EgressReason>) {
        let mut attempt = Visit::new(ledger, host.parse().unwrap(), 443);
        attempt.reason = reason;
    }

    #[test]
    fn attempts_are_counted_by_destination_and_result() {
        let ledger = Arc::default();
        attempt(&ledger, "b.example", None);
        attempt(&ledger, "a.example", Some(EgressReason::HostNotAllowed));
        attempt(&ledger, "b.example", None);
        attempt(&ledger, "b.example", Some(EgressReason::Unreachable));
        let report = ledger.report(&EgressPolicy::default());
        let seen: Vec<_> = report.attempts.iter().map(|a| (a.host.as_str(), a.allowed, a.count)).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
        for expected in [("b.example", true, 2), ("b.example", true, 1), ("a.example", false, 1)] {
            assert!(seen.contains(&expected), "{seen:?}");
        }
        assert!(report.attempts.is_sorted_by_key(|attempt| attempt.first_at));
    }

    #[test]
    fn the_list_ends_and_says_so() {
        let ledger = Arc::default();
        for n in 0..MAX_LISTED + 7 {
            attempt(&ledger, &format!("h{n}.example"), None);
        }
        attempt(&ledger, "h0.example", None);
        let report = ledger.report(&EgressPolicy::default());
        assert_eq!((report.attempts.len(), report.attempts_not_listed), (MAX_LISTED, 7));
        assert!(report.attempts.iter().any(|attempt| attempt.host == "h0.example" && attempt.count == 2));
    }
}
