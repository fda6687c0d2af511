//! Requests per minute of each key: a sliding window of sixty one-second buckets, in this process's memory.
//! Several processes each allow the full limit; it protects the service, it does not bill.

mod plans;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::HeaderValue;
use axum::response::Response;
use schemas::id::ApiKeyId;

pub(crate) use plans::Plans;

const WINDOW_S: u64 = 60;
const BUCKETS: usize = 60;
/// Number of windows at which those of idle keys are dropped.
const SWEEP_AT: usize = 1024;

/// The standing of a key after a request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until the oldest counted request leaves the window.
    pub reset_s: u64,
    pub refused: bool,
}

impl Standing {
    /// Adds the headers of draft-ietf-httpapi-ratelimit-headers-03, which clients know best.
    pub(crate) fn mark(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert("ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("ratelimit-reset", HeaderValue::from(self.reset_s));
        response
    }
}

#[derive(Debug, Clone)]
struct Window {
    counts: [u32; BUCKETS],
    /// The second that was counted last.
    latest_s: u64,
    total: u32,
}

impl Window {
    fn new(now_s: u64) -> Self {
        Self { counts: [0; BUCKETS], latest_s: now_s, total: 0 }
    }

    fn advance(&mut self, now_s: u64) {
        let passed = now_s.saturating_sub(self.latest_s).min(WINDOW_S);
        for step in 1..=passed {
            let bucket = &mut self.counts[slot(self.latest_s + step)];
            self.total -= *bucket;
            *bucket = 0;
        }
        // After a long silence the loop has cleared every bucket, whatever second it started from.
        self.latest_s = self.latest_s.max(now_s);
    }

    fn count(&mut self, now_s: u64, limit: u32) -> Standing {
        self.advance(now_s);
        let refused = self.total >= limit;
        if !refused {
            self.counts[slot(now_s)] += 1;
            self.total += 1;
        }
        Standing { limit, remaining: limit.saturating_sub(self.total), reset_s: self.reset_s(), refused }
    }

    /// Seconds until the oldest bucket in use leaves the window.
    fn reset_s(&self) -> u64 {
        let used = |ahead: &u64| self.counts[slot(self.latest_s + ahead)] > 0;
        (1..=WINDOW_S).find(used).unwrap_or(WINDOW_S)
    }
}

fn slot(second: u64) -> usize {
    usize::try_from(second % WINDOW_S).unwrap_or(0)
}

#[derive(Debug)]
pub(crate) struct RateLimit {
    started: Instant,
    windows: Mutex<Windows>,
}

#[derive(Debug)]
struct Windows {
    of: HashMap<ApiKeyId, Window>,
    sweep_at: usize,
}

impl RateLimit {
    pub(crate) fn new() -> Self {
        let windows = Windows { of: HashMap::new(), sweep_at: SWEEP_AT };
        Self { started: Instant::now(), windows: Mutex::new(windows) }
    }

    /// Counts a request. A refused request does not count.
    pub(crate) fn count(&self, key: &ApiKeyId, limit: u32) -> Standing {
        let now_s = self.started.elapsed().as_secs();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.of.len() >= windows.sweep_at {
            windows.of.retain(|_, window| window.latest_s + WINDOW_S > now_s);
            // Sweeping is worth its time only when many keys may be idle.
            windows.sweep_at = (windows.of.len() * 2).max(SWEEP_AT);
        }
        windows.of.entry(key.clone()).or_insert_with(|| Window::new(now_s)).count(now_s, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_after_the_limit_is_refused_until_the_first_is_a_minute_old() {
        let mut window = Window::new(5);
        for left in (0..120).rev() {
            let standing = window.count(5 + u64::from(120 - left > 60), 120);
            assert_eq!((standing.refused, standing.remaining), (false, left));
        }
        let refused = window.count(10, 120);
        assert_eq!((refused.refused, refused.remaining, refused.reset_s), (true, 0, 55));
        assert!(window.count(64, 120).refused);
        assert_eq!(window.count(65, 120), Standing { limit: 120, remaining: 59, reset_s: 1, refused: false });
    }

    #[test]
    fn a_long_silence_frees_everything() {
        let mut window = Window::new(3);
        for _ in 0..5 {
            window.count(3, 5);
        }
        assert!(window.count(4, 5).refused);
        let standing = window.count(1000, 5);
        assert_eq!((standing.refused, standing.remaining, standing.reset_s), (false, 4, 60));
    }

    #[test]
    fn keys_do_not_share() {
        let limit = RateLimit::new();
        let (one, other) = (ApiKeyId::new(), ApiKeyId::new());
        assert!(!limit.count(&one, 1).refused);
        assert!(limit.count(&one, 1).refused);
        assert!(!limit.count(&other, 1).refused);
    }
}
