//! Looks now and then at what the metrics show as it is: runs that are not over, and the outbox.

use std::time::Duration;

use database::DbError;
use tokio_util::sync::CancellationToken;

use super::pause;
use crate::app::App;
use crate::db::runs;

const PAUSE: Duration = Duration::from_secs(5);
/// Shown for runs that wait for a slot or in the queue; clients see them as `starting`.
const QUEUED: &str = "queued";

pub(super) async fn run(app: App, shutdown: CancellationToken) {
    loop {
        if let Err(error) = look(&app).await {
            tracing::warn!(%error, "the gauges could not be read");
        }
        if !pause(PAUSE, &shutdown).await {
            return;
        }
    }
}

async fn look(app: &App) -> Result<(), DbError> {
    let client = app.pool.get().await?;
    let open = runs::open_runs(&client).await?;
    let depth = runs::outbox_depth(&client).await?;
    drop(client);
    app.metrics.outbox_depth.set(depth);
    // A state that no run is in any more would keep its last number.
    app.metrics.open_runs.reset();
    // What executors are scaled by is there from the start, also when it is nothing.
    app.metrics.open_runs.with_label_values(&[QUEUED]).set(0);
    for state in open {
        let label = if state.unclaimed { QUEUED } else { state.status.as_str() };
        app.metrics.open_runs.with_label_values(&[label]).set(state.count);
    }
    Ok(())
}
