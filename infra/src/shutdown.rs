//! Shutdown as a value that is passed in: a token that SIGTERM or SIGINT cancels, and a deadline for draining.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT of this process cancels.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let canceled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down");
        canceled.cancel();
    });
    Ok(token)
}

/// Waits for `work`, but at most until `deadline` after `shutdown`. Returns false if work was left unfinished.
pub async fn drain(work: impl Future<Output = ()>, shutdown: &CancellationToken, deadline: Duration) -> bool {
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => return true,
        () = shutdown.cancelled() => {}
    }
    tokio::time::timeout(deadline, work).await.is_ok()
}
