//! Waiting for a state: polling with a deadline, never a fixed sleep.

use std::time::Duration;

/// Generous: a busy machine must not fail a test. What is right is right long before.
pub const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Asks until there is an answer; panics with `what` when the deadline has passed.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let answer = tokio::time::timeout(DEADLINE, asked).await;
    answer.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}
