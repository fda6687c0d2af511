//! The proxy of one run: accepts for as long as the run lasts, and leaves no connection behind.

use std::sync::Arc;
use std::time::Duration;

use schemas::egress::{EgressPolicy, EgressReport};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::exchange;
use super::gateway::Gateway;
use super::shared::Shared;

/// Maximum concurrent connections per run; further ones queue. Package managers open up to 64.
const CONNECTIONS: usize = 128;
/// After an error that may last, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Dropping it without [`finish`](Self::finish) closes everything, too, in the background.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Serves a run's connections from now on.
    pub fn start(listener: TcpListener, policy: EgressPolicy, gateway: &Gateway) -> Self {
        let shared = Arc::new(Shared::new(policy, gateway));
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, Arc::clone(&shared), stop.clone()));
        Self { shared, stop, task }
    }

    /// Closes every connection, and says what was attempted.
    pub async fn finish(mut self) -> EgressReport {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "an egress proxy broke; its list of attempts may have gaps");
        }
        self.shared.ledger.report(&self.shared.policy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => accepted,
        };
        match accepted {
            Ok((client, _)) => drop(connections.spawn(exchange::serve(client, Arc::clone(&shared)))),
            Err(error) => {
                tracing::warn!(%error, "an egress proxy cannot accept a connection; retrying");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}
