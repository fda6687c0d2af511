//! Deletes stored answers after a day: a key that is used again later is a new one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pause;
use crate::app::App;
use crate::db::{DbError, idempotency};

const PAUSE: Duration = Duration::from_mins(5);
const KEPT_S: f64 = 86_400.0;
const BATCH: i64 = 1000;

pub(super) async fn run(app: App, shutdown: CancellationToken) {
    while pause(PAUSE, &shutdown).await {
        loop {
            match sweep(&app).await {
                Ok(0) => break,
                Ok(count) => tracing::debug!(count, "stored answers deleted"),
                Err(error) => {
                    tracing::warn!(%error, "stored answers could not be deleted");
                    break;
                }
            }
        }
    }
}

async fn sweep(app: &App) -> Result<u64, DbError> {
    idempotency::delete_old(&app.pool.get().await?, KEPT_S, BATCH).await
}
