//! Periodic work: one loop for everything that looks at something now and then.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: there was as much to do as one look takes.
    AtOnce,
    AfterInterval,
}

impl Next {
    /// A look that found `count` of at most `limit` looks again at once if it was full.
    pub fn after(count: u64, limit: u64) -> Self {
        if count >= limit { Self::AtOnce } else { Self::AfterInterval }
    }
}

/// Calls `look` at once and then every `interval`, until `shutdown`. A look that has begun is never interrupted.
///
/// `what` completes the log message of a failed look, which is retried after the interval: "cannot {what}: …".
pub async fn every<F, Look>(interval: Duration, what: &'static str, shutdown: CancellationToken, mut look: F)
where
    F: FnMut() -> Look,
    Look: Future<Output = anyhow::Result<Next>>,
{
    loop {
        let wait = match look().await {
            Ok(Next::AtOnce) => Duration::ZERO,
            Ok(Next::AfterInterval) => interval,
            Err(error) => {
                tracing::warn!("cannot {what}: {error:#}; retrying");
                interval
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
