//! Takes ended runs from the intake, seals groups of them, and acknowledges them. A run that could not be sealed is tried
//! again from the database, which has its outcome: no message waits for that.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use infra::amqp::Delivery;
use infra::task::{Next, every};
use schemas::id::RunId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::seal;
use crate::context::Context;
use crate::db::seals;
use crate::pace::Pace;

/// Runs sealed together. Bounds the memory too: each holds less than one part of its log.
const GROUP: usize = 32;
/// Minimum time between the beginnings of two groups, unless one is full; a lone run does not wait.
const PACE: Duration = Duration::from_millis(100);
/// Runs sealed each by itself at the same time, where a group could not be sealed.
const ALONE: usize = 4;
/// Interval of the looks for outcomes that are not sealed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Age from which an outcome is nobody's work any more. Sealing twice at once gives the same bytes.
const UNSEALED_FOR: Duration = Duration::from_secs(10);

/// An ended run. The delivery is acknowledged when the run is sealed, or when sealing it has failed once.
#[derive(Debug)]
pub(crate) struct SealRequest {
    pub run: RunId,
    pub delivery: Delivery,
}

pub(crate) async fn work(context: Context, mut requests: mpsc::Receiver<SealRequest>) {
    let mut pace = Pace::new(PACE);
    while let Some(first) = requests.recv().await {
        pace.wait_while(|| 1 + requests.len() < GROUP).await;
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = requests.try_recv()
        {
            group.push(next);
        }
        let runs: Vec<RunId> = group.iter().map(|request| request.run.clone()).collect();
        seal_all(&context, &runs).await;
        for request in group {
            request.delivery.ack().await;
        }
    }
}

/// Seals what an earlier try left, until `shutdown`.
pub(crate) async fn again(context: Context, shutdown: CancellationToken) {
    every(LOOK_EVERY, "seal what is left", shutdown, || look(&context)).await;
}

async fn look(context: &Context) -> anyhow::Result<Next> {
    let client = context.pool.get().await?;
    let runs = seals::left(&client, UNSEALED_FOR, i64::try_from(GROUP)?).await?;
    drop(client);
    let sealed = if runs.is_empty() { 0 } else { seal_all(context, &runs).await };
    // Where all is well again, the backlog is worked off at once.
    Ok(Next::after(sealed, GROUP as u64))
}

/// Seals the runs together; if that fails one by one, so that one run in trouble does not hold up the others. Returns how
/// many are sealed.
async fn seal_all(context: &Context, runs: &[RunId]) -> u64 {
    if seal(context, runs).await.is_ok() {
        return runs.len() as u64;
    }
    let alone = stream::iter(runs.to_vec()).map(|run| seal_alone(context, run)).buffer_unordered(ALONE);
    alone.filter(|sealed| std::future::ready(*sealed)).count().await as u64
}

async fn seal_alone(context: &Context, run: RunId) -> bool {
    let sealed = seal(context, std::slice::from_ref(&run)).await;
    if let Err(error) = &sealed {
        context.metrics.retries.with_label_values(&["seal"]).inc();
        tracing::warn!(%run, "cannot seal a run: {error:#}; retrying");
    }
    sealed.is_ok()
}
