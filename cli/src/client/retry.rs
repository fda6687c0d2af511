//! When and how long to wait before something is tried again.

use std::time::Duration;

use crate::failure::Failure;

const ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(10);
/// A server that asks for more (a quota of the month, say) is not waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(90);

/// Exponential delays with jitter, so that many clients do not come back at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST_DELAY }
    }

    /// At least what the server asked for; `None` when that is too long.
    pub(crate) fn delay(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let delay = self.next.mul_f64(jitter());
        self.next = (self.next * 2).min(MAX_DELAY);
        match retry_after {
            Some(asked) if asked > MAX_RETRY_AFTER => None,
            Some(asked) => Some(asked.max(delay)),
            None => Some(delay),
        }
    }
}

/// Between a half and one.
fn jitter() -> f64 {
    let mut random = [0u8; 1];
    // Without randomness the delay is merely not spread.
    let _ = getrandom::fill(&mut random);
    0.5 + f64::from(random[0]) / 510.0
}

/// Tries until `attempt` succeeds or fails for good. Only for requests that are safe to repeat.
pub(crate) async fn retrying<T, F: Future<Output = Result<T, Failure>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failure> {
    let mut backoff = Backoff::new();
    for _ in 1..ATTEMPTS {
        let failure = match attempt().await {
            Err(failure) if failure.retryable => failure,
            result => return result,
        };
        let Some(delay) = backoff.delay(failure.retry_after) else { return Err(failure) };
        tokio::time::sleep(delay).await;
    }
    attempt().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit() {
        let mut backoff = Backoff::new();
        let delays: Vec<_> = (0..12).filter_map(|_| backoff.delay(None)).collect();
        assert!(delays[0] >= FIRST_DELAY / 2 && delays[0] <= FIRST_DELAY);
        assert!(delays[3] > delays[0]);
        assert!(delays.iter().all(|&delay| delay <= MAX_DELAY));
    }

    #[test]
    fn the_server_decides_unless_it_asks_for_too_much() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.delay(Some(Duration::from_secs(30))), Some(Duration::from_secs(30)));
        assert_eq!(backoff.delay(Some(Duration::from_hours(1))), None);
    }
}
