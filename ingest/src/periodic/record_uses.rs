//! Records when API keys were last used: many keys every few seconds, instead of a write for each request.

use std::time::Duration;

use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::api_keys;

const INTERVAL: Duration = Duration::from_secs(5);

pub(super) async fn run(app: App, stop: CancellationToken) {
    every(INTERVAL, "record the last use of API keys", stop, || record(&app)).await;
    // The uses since the last look would be lost.
    if let Err(error) = record(&app).await {
        tracing::warn!("cannot record the last use of API keys: {error:#}");
    }
}

async fn record(app: &App) -> anyhow::Result<Next> {
    let uses = app.last_used.take();
    if !uses.is_empty() {
        api_keys::record_uses(&app.pool.get().await?, &uses).await?;
    }
    Ok(Next::AfterInterval)
}
