//! Deletes stored answers after a day: a key that is used again later is a new one.

use std::time::Duration;

use database::DbError;
use tokio_util::sync::CancellationToken;

use super::sweep_every;
use crate::app::App;
use crate::db::idempotency;

const PAUSE: Duration = Duration::from_mins(5);
const KEPT_S: f64 = 86_400.0;
const BATCH: i64 = 1000;

pub(super) async fn run(app: App, shutdown: CancellationToken) {
    sweep_every(PAUSE, "stored answers", (app, shutdown), sweep).await;
}

async fn sweep(app: App) -> Result<u64, DbError> {
    idempotency::delete_old(&app.pool.get().await?, KEPT_S, BATCH).await
}
