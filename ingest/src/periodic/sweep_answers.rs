//! Deletes stored answers after a day: an `Idempotency-Key` that is used again later is a new one.

use std::time::Duration;

use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::idempotency;

const INTERVAL: Duration = Duration::from_mins(5);
const KEPT_S: f64 = 86_400.0;
const LIMIT: u32 = 1000;

pub(super) async fn run(app: App, stop: CancellationToken) {
    every(INTERVAL, "delete old answers", stop, || sweep(&app)).await;
}

async fn sweep(app: &App) -> anyhow::Result<Next> {
    let deleted = idempotency::delete_old(&app.pool.get().await?, KEPT_S, LIMIT.into()).await?;
    Ok(Next::after(deleted, LIMIT.into()))
}
