//! Removes what clients put into the store beside us, once nobody can put it there any more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pause;
use crate::app::App;
use crate::db::uploads;

const PAUSE: Duration = Duration::from_mins(5);
const BATCH: i64 = 100;

pub(super) async fn run(app: App, shutdown: CancellationToken) {
    while pause(PAUSE, &shutdown).await {
        loop {
            match sweep(&app).await {
                Ok(0) => break,
                Ok(count) => tracing::debug!(count, "staged archives removed"),
                Err(error) => {
                    tracing::warn!(error = %format!("{error:#}"), "staged archives could not be removed");
                    break;
                }
            }
        }
    }
}

async fn sweep(app: &App) -> anyhow::Result<usize> {
    let client = app.pool.get().await?;
    let over = uploads::staged_and_over(&client, uploads::PRESIGNED_FOR, BATCH).await?;
    for (id, key) in &over {
        app.store.delete(key).await?;
        uploads::forget_staged(&client, id).await?;
    }
    Ok(over.len())
}
