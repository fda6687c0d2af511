//! Writes down when keys were last used, a batch every few seconds instead of a write for each request.

use std::time::Duration;

use database::DbError;
use tokio_util::sync::CancellationToken;

use super::pause;
use crate::app::App;
use crate::db::api_keys;

const PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn run(app: App, shutdown: CancellationToken) {
    loop {
        let go_on = pause(PAUSE, &shutdown).await;
        // Also at the end: what was gathered would be lost.
        if let Err(error) = record(&app).await {
            tracing::warn!(%error, "the last use of keys could not be recorded");
        }
        if !go_on {
            return;
        }
    }
}

async fn record(app: &App) -> Result<(), DbError> {
    let uses = app.last_used.take();
    if uses.is_empty() {
        return Ok(());
    }
    api_keys::record_uses(&app.pool.get().await?, &uses).await
}
