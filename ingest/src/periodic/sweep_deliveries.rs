//! Deletes webhook messages a month after they were made: by then nobody sends them again.

use std::time::Duration;

use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::webhooks;

const INTERVAL: Duration = Duration::from_mins(10);
const KEPT: Duration = Duration::from_hours(30 * 24);
const LIMIT: u32 = 1000;

pub(super) async fn run(app: App, stop: CancellationToken) {
    every(INTERVAL, "delete old webhook messages", stop, || sweep(&app)).await;
}

async fn sweep(app: &App) -> anyhow::Result<Next> {
    let deleted = webhooks::delete_old(&app.pool.get().await?, KEPT, LIMIT.into()).await?;
    Ok(Next::after(deleted, LIMIT.into()))
}
