//! The pace of groups: under load they should be few and full, and a lone message should not wait.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

#[derive(Debug)]
pub(crate) struct Pace {
    gap: Duration,
    /// Beginning of the last group.
    begun: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(gap: Duration) -> Self {
        Self { gap, begun: None }
    }

    /// Waits until a group should begin: at once after a quiet moment, else a gap after the last group began, or
    /// earlier if there is no more room to wait for.
    pub(crate) async fn wait_while(&mut self, has_room: impl Fn() -> bool) {
        while let Some(due) = self.due(Instant::now())
            && has_room()
        {
            sleep_until(due.min(Instant::now() + self.gap / 4)).await;
        }
        self.begun = Some(Instant::now());
    }

    /// Beginning of the next group; `None` if that is now.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.begun.map(|begun| begun + self.gap).filter(|due| *due > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_groups_that_follow_closely_wait() {
        let hour = Duration::from_secs(3600);
        let mut pace = Pace::new(hour);
        // The first one does not wait, nor does a full one: otherwise this test would take hours.
        pace.wait_while(|| true).await;
        pace.wait_while(|| false).await;
        let begun = pace.begun.expect("a group began");
        assert_eq!(pace.due(begun + hour / 2), Some(begun + hour));
        assert_eq!(pace.due(begun + hour), None, "after a quiet moment nothing waits");
    }
}
