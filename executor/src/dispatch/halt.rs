//! The way in which an attempt hears that it should stop, in every phase.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::running::Stop;

/// Time that the collection of a canceled run still has: what is small is kept.
const LAST_CALL: Duration = Duration::from_millis(800);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Halt {
    canceled: CancellationToken,
    silenced: CancellationToken,
}

impl Halt {
    /// `abort` silences every attempt of this executor.
    pub(crate) fn new(abort: &CancellationToken) -> Self {
        Self { canceled: CancellationToken::new(), silenced: abort.child_token() }
    }

    pub(super) fn tell(&self, stop: Stop) {
        match stop {
            Stop::Canceled => self.canceled.cancel(),
            Stop::Silent => self.silenced.cancel(),
        }
    }

    /// The reason to stop, if there is one. To be silent is final; to be canceled is not.
    pub(crate) fn now(&self) -> Option<Stop> {
        if self.silenced.is_cancelled() {
            return Some(Stop::Silent);
        }
        self.canceled.is_cancelled().then_some(Stop::Canceled)
    }

    /// Returns when the attempt should not go on.
    pub(crate) async fn told(&self) -> Stop {
        tokio::select! {
            biased;
            () = self.silenced.cancelled() => Stop::Silent,
            () = self.canceled.cancelled() => Stop::Canceled,
        }
    }

    /// Returns when the collection must end, also one that begins later: at once if nobody listens any more.
    pub(crate) async fn last_call(&self) -> Stop {
        if self.told().await == Stop::Canceled {
            tokio::select! {
                () = self.silenced.cancelled() => {}
                () = tokio::time::sleep(LAST_CALL) => {}
            }
        }
        self.now().unwrap_or(Stop::Silent)
    }

    /// Returns when nobody listens to the attempt any more.
    pub(crate) async fn silenced(&self) {
        self.silenced.cancelled().await;
    }
}
