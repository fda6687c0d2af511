//! Reads from the database what the metrics show: unfinished runs, and the depth of the outbox.

use std::time::Duration;

use infra::task::{Next, every};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::runs;

const INTERVAL: Duration = Duration::from_secs(5);
/// Label of runs that wait for a slot or in the queue; clients see them as `starting`.
const QUEUED: &str = "queued";

pub(super) async fn run(app: App, stop: CancellationToken) {
    every(INTERVAL, "read the gauges", stop, || look(&app)).await;
}

async fn look(app: &App) -> anyhow::Result<Next> {
    let client = app.pool.get().await?;
    let open = runs::open_runs(&client).await?;
    let depth = runs::outbox_depth(&client).await?;
    drop(client);
    app.metrics.outbox_depth.set(depth);
    // A state without runs would keep its last number.
    app.metrics.open_runs.reset();
    // Executors are scaled by this number: it is shown from the start, also when it is 0.
    app.metrics.open_runs.with_label_values(&[QUEUED]).set(0);
    for state in open {
        let label = if state.unclaimed { QUEUED } else { state.status.as_str() };
        app.metrics.open_runs.with_label_values(&[label]).set(state.count);
    }
    Ok(Next::AfterInterval)
}
