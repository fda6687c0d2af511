//! Sends due webhook messages, and sends them again after growing pauses until a receiver acknowledges them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use schemas::api::webhook::{DeliveryStatus, WebhookData, WebhookMessage};
use schemas::id::{DeliveryId, OrgId, WebhookId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::db::runs;
use crate::db::webhooks::{self, AtOnce, Attempted, Due, Sending};
use crate::webhooks::{Outcome, send};

const INTERVAL: Duration = Duration::from_millis(500);
/// Shortest time between two looks: messages that end at about the same time are followed by as many.
const SHORTEST: Duration = Duration::from_millis(50);
/// Maximum concurrent messages of this process. A receiver that never answers takes few of them, and so does an organization
/// that has many such receivers.
const CONCURRENT: usize = 64;
const OF_WEBHOOK: i64 = 8;
const OF_ORG: i64 = 16;
/// Longer than an attempt takes.
const LEASE: Duration = Duration::from_mins(1);
const MOST_ATTEMPTS: u32 = 8;
/// Each pause is so many times as long as the one before: with 5 s first, the last attempt comes after 1.4 days.
const SLOWER: u32 = 6;
const LONGEST_PAUSE: Duration = Duration::from_hours(12);
/// Longest pause of a receiver that does not answer, which delays its other messages.
const LONGEST_PAUSE_OF_WEBHOOK: Duration = Duration::from_mins(5);

/// The messages that are being sent.
#[derive(Debug, Clone, Default)]
struct InFlight {
    messages: Arc<Mutex<HashMap<DeliveryId, (WebhookId, OrgId)>>>,
    ended: Arc<Notify>,
}

/// One of them, until it is dropped.
struct Flight {
    id: DeliveryId,
    of: InFlight,
}

impl InFlight {
    fn begin(&self, due: &Due) -> Flight {
        self.lock().insert(due.id.clone(), (due.webhook.clone(), due.org.clone()));
        Flight { id: due.id.clone(), of: self.clone() }
    }

    fn sending(&self) -> Sending {
        let messages = self.lock();
        let (webhooks, orgs) = messages.values().cloned().unzip();
        Sending { webhooks, orgs }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DeliveryId, (WebhookId, OrgId)>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.of.lock().remove(&self.id);
        self.of.ended.notify_one();
    }
}

pub(super) async fn run(app: App, stop: CancellationToken) {
    let (tasks, flights) = (TaskTracker::new(), InFlight::default());
    while !stop.is_cancelled() {
        if let Err(error) = send_due(&app, &tasks, &flights).await {
            tracing::warn!("cannot look for due webhook messages: {error:#}; retrying");
        }
        // What has ended makes room for what waits.
        let room = async {
            tokio::time::sleep(SHORTEST).await;
            flights.ended.notified().await;
        };
        tokio::select! {
            () = room => {}
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
    // A message that is cut off is sent again when its lease is over.
    tasks.close();
    tasks.wait().await;
}

async fn send_due(app: &App, tasks: &TaskTracker, flights: &InFlight) -> anyhow::Result<()> {
    let sending = flights.sending();
    let free = CONCURRENT.saturating_sub(sending.orgs.len());
    if free == 0 {
        return Ok(());
    }
    let most = AtOnce { of_webhook: OF_WEBHOOK, of_org: OF_ORG, now: i64::try_from(free)? };
    for message in webhooks::take_due(&app.pool.get().await?, LEASE, &sending, most).await? {
        let (app, flight) = (app.clone(), flights.begin(&message));
        tasks.spawn(async move {
            deliver(&app, &message).await;
            drop(flight);
        });
    }
    Ok(())
}

async fn deliver(app: &App, due: &Due) {
    let outcome = match message(app, due).await {
        Ok(body) => send(&due.url, due.id.as_str(), &due.secret, body, &app.config.webhook_allow).await,
        Err(error) => {
            tracing::warn!(delivery = %due.id, error = %format!("{error:#}"), "cannot write a webhook message");
            return;
        }
    };
    let first_pause = Duration::from_millis(app.config.webhook_retry_ms);
    let attempted = attempted(&outcome, due.attempt, first_pause);
    app.metrics.webhook_attempts.with_label_values(&[attempted.status.as_str()]).inc();
    if let Err(error) = record(app, due, &outcome, &attempted, first_pause).await {
        tracing::warn!(delivery = %due.id, error = %format!("{error:#}"), "cannot record the outcome of a webhook message");
    }
}

async fn message(app: &App, due: &Due) -> anyhow::Result<Bytes> {
    let run = runs::find(&app.pool.get().await?, &due.org, &due.run).await?;
    let run = run.ok_or_else(|| anyhow::anyhow!("run {} does not exist", due.run))?.into_api();
    // Every attempt sends the same bytes.
    let message =
        WebhookMessage { kind: due.kind.clone(), timestamp: due.created_at, data: WebhookData { workspace_run: run } };
    Ok(Bytes::from(serde_json::to_vec(&message)?))
}

fn attempted(outcome: &Outcome, attempt: u32, first_pause: Duration) -> Attempted {
    let over = attempt >= MOST_ATTEMPTS || matches!(outcome, Outcome::Gone(_));
    let status = match outcome {
        Outcome::Delivered(_) => DeliveryStatus::Delivered,
        _ if over => DeliveryStatus::Failed,
        _ => DeliveryStatus::Pending,
    };
    let (response_status, error) = match outcome {
        Outcome::Delivered(code) | Outcome::Gone(code) | Outcome::Refused(code) => (Some(*code), None),
        Outcome::Unreached(reason) => (None, Some(reason.clone())),
    };
    let pauses = SLOWER.saturating_pow(attempt.saturating_sub(1));
    Attempted { status, retry_in: first_pause.saturating_mul(pauses).min(LONGEST_PAUSE), response_status, error }
}

async fn record(
    app: &App,
    due: &Due,
    outcome: &Outcome,
    attempted: &Attempted,
    first_pause: Duration,
) -> anyhow::Result<()> {
    let client = app.pool.get().await?;
    webhooks::record(&client, &due.id, attempted).await?;
    match outcome {
        Outcome::Unreached(_) => {
            webhooks::pause(&client, &due.webhook, first_pause, LONGEST_PAUSE_OF_WEBHOOK).await?;
        }
        Outcome::Delivered(_) | Outcome::Refused(_) => webhooks::resume(&client, &due.webhook).await?,
        Outcome::Gone(_) => webhooks::disable(&client, &due.webhook).await?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_is_over() {
        let first = Duration::from_secs(5);
        let after = |outcome: &Outcome, attempt| attempted(outcome, attempt, first);
        let refused = Outcome::Refused(503);
        let pauses: Vec<u64> = (1..=7).map(|attempt| after(&refused, attempt).retry_in.as_secs()).collect();
        assert_eq!(pauses, [5, 30, 180, 1080, 6480, 38_880, 43_200]);
        assert_eq!(after(&refused, 7).status, DeliveryStatus::Pending);
        assert_eq!(after(&refused, 8).status, DeliveryStatus::Failed);
        assert_eq!(after(&Outcome::Delivered(204), 8).status, DeliveryStatus::Delivered);
        assert_eq!(after(&Outcome::Gone(410), 1).status, DeliveryStatus::Failed);
    }
}
