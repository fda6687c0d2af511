//! Removes what clients put into the store beside us, once nobody can put it there any more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::sweep_every;
use crate::app::App;
use crate::db::uploads;

const PAUSE: Duration = Duration::from_mins(5);
const BATCH: i64 = 100;

pub(super) async fn run(app: App, shutdown: CancellationToken) {
    sweep_every(PAUSE, "staged archives", (app, shutdown), sweep).await;
}

async fn sweep(app: App) -> anyhow::Result<u64> {
    let client = app.pool.get().await?;
    let over = uploads::staged_and_over(&client, uploads::PRESIGNED_FOR, BATCH).await?;
    for (id, key) in &over {
        app.store.delete(key).await?;
        uploads::forget_staged(&client, id).await?;
    }
    Ok(u64::try_from(over.len())?)
}
