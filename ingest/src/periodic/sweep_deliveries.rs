//! Forgets messages of webhooks a month after they were made: by then nobody sends them again.

use std::time::Duration;

use database::DbError;
use tokio_util::sync::CancellationToken;

use super::sweep_every;
use crate::app::App;
use crate::db::webhooks;

const PAUSE: Duration = Duration::from_mins(10);
const KEPT: Duration = Duration::from_hours(30 * 24);
const BATCH: i64 = 1000;

pub(super) async fn run(app: App, shutdown: CancellationToken) {
    sweep_every(PAUSE, "webhook messages", (app, shutdown), sweep).await;
}

async fn sweep(app: App) -> Result<u64, DbError> {
    webhooks::delete_old(&app.pool.get().await?, KEPT, BATCH).await
}
