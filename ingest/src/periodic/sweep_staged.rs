//! Removes archives that clients put straight into the store, once no presigned URL can write them any more.

use std::time::Duration;

use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::uploads;

const INTERVAL: Duration = Duration::from_mins(5);
const LIMIT: u32 = 100;

pub(super) async fn run(app: App, stop: CancellationToken) {
    every(INTERVAL, "remove staged archives", stop, || sweep(&app)).await;
}

async fn sweep(app: &App) -> anyhow::Result<Next> {
    let client = app.pool.get().await?;
    let over = uploads::staged_and_over(&client, uploads::PRESIGNED_FOR, LIMIT.into()).await?;
    let mut removed = 0;
    for (id, key) in &over {
        // One that the store does not delete keeps none of the others.
        if let Err(error) = app.store.delete(key).await {
            tracing::warn!(upload = %id, %error, "cannot remove a staged archive; retrying");
            continue;
        }
        uploads::forget_staged(&client, id).await?;
        removed += 1;
    }
    Ok(Next::after(removed, LIMIT.into()))
}
