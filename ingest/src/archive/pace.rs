//! The pace at which a client sends a body: neither silence nor a byte now and then keeps an upload open.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::http::error::ApiError;

/// Measures only the time spent waiting for the client: the store may take its time.
#[derive(Debug)]
pub(super) struct Pace {
    /// Longest silence, and the time after which the pace is looked at.
    idle: Duration,
    /// Bytes that must come in `idle`.
    least: u64,
    waited: Duration,
    came: u64,
}

impl Pace {
    pub(super) fn new(idle: Duration, least_per_second: u64) -> Self {
        let millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        Self { idle, least: least_per_second.saturating_mul(millis) / 1000, waited: Duration::ZERO, came: 0 }
    }

    /// The next bytes of the body; `None` at its end.
    pub(super) async fn next(&mut self, body: &mut Body) -> Result<Option<Bytes>, ApiError> {
        loop {
            let since = Instant::now();
            let frame = tokio::time::timeout(self.idle, body.frame()).await.map_err(|_| {
                ApiError::invalid(format!("No bytes of the body arrived for {} ms.", self.idle.as_millis()))
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(ApiError::invalid("The body ended before it was complete.")),
                // Trailers are not part of the archive.
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    self.check(since.elapsed(), data.len() as u64)?;
                    if !data.is_empty() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    fn check(&mut self, waited: Duration, came: u64) -> Result<(), ApiError> {
        self.waited += waited;
        self.came += came;
        if self.waited < self.idle {
            return Ok(());
        }
        if self.came < self.least {
            let message = format!(
                "Only {} bytes of the body arrived in {} ms: expected at least {}.",
                self.came,
                self.waited.as_millis(),
                self.least
            );
            return Err(ApiError::invalid(message));
        }
        (self.waited, self.came) = (Duration::ZERO, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_is_too_slow_and_a_burst_counts_for_its_window() {
        let ms = Duration::from_millis;
        for (pieces, refused_at) in [
            (&[(400, 1), (400, 1), (400, 1)][..], Some(2)),
            (&[(400, 600), (400, 600), (400, 600), (900, 600)], None),
            (&[(0, 5000), (1100, 1), (600, 1), (600, 1)], Some(3)),
        ] {
            let mut pace = Pace::new(ms(1000), 1000);
            let refused = pieces.iter().position(|(waited, came)| pace.check(ms(*waited), *came).is_err());
            assert_eq!(refused, refused_at, "{pieces:?}");
        }
    }
}
