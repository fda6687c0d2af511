//! Takes ended runs from the intake, seals groups of them, and acknowledges what is sealed.

use std::time::Duration;

use infra::amqp::Delivery;
use schemas::id::RunId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::seal;
use crate::context::Context;
use crate::pace::Pace;

/// Runs sealed together. Bounds the memory too: each holds less than one part of its log.
const GROUP: usize = 32;
/// Minimum time between the beginnings of two groups, unless one is full; a lone run does not wait.
const PACE: Duration = Duration::from_millis(100);
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// An ended run. The delivery is acknowledged only when the run is sealed.
#[derive(Debug)]
pub(crate) struct SealRequest {
    pub run: RunId,
    pub delivery: Delivery,
}

pub(crate) async fn work(context: Context, mut requests: mpsc::Receiver<SealRequest>, shutdown: CancellationToken) {
    // Failed requests wait here, so that one run in trouble does not hold up the others.
    let mut again: Vec<SealRequest> = Vec::new();
    let mut pace = Pace::new(PACE);
    loop {
        let mut group = Vec::new();
        tokio::select! {
            received = requests.recv_many(&mut group, GROUP) => if received == 0 {
                return;
            },
            () = tokio::time::sleep(RETRY_DELAY), if !again.is_empty() => group.append(&mut again),
            () = shutdown.cancelled(), if !again.is_empty() => return,
        }
        pace.wait_while(|| group.len() + requests.len() < GROUP).await;
        while group.len() < GROUP
            && let Ok(next) = requests.try_recv()
        {
            group.push(next);
        }
        let runs: Vec<RunId> = group.iter().map(|request| request.run.clone()).collect();
        if seal(&context, &runs).await.is_ok() {
            for request in group {
                request.delivery.ack().await;
            }
            continue;
        }
        for request in group {
            match seal(&context, std::slice::from_ref(&request.run)).await {
                Ok(()) => request.delivery.ack().await,
                Err(error) => {
                    context.metrics.retries.with_label_values(&["seal"]).inc();
                    tracing::warn!(run = %request.run, error = %format!("{error:#}"), "cannot seal a run; retrying");
                    again.push(request);
                }
            }
        }
    }
}
