//! Accepts connections. Unlike `axum::serve` it bounds their number and the memory of each, gives clients a deadline for their
//! headers and for taking their answers, and drains what is in flight when the service stops.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::stalls::Unstalled;

/// Pause after a failure to accept, such as when all file descriptors are in use.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Bytes of a connection's buffers in each direction, which the headers of a request must fit into.
const BUFFER_BYTES: usize = 16 * 1024;

/// The bounds of connections.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// More wait in the queue of the operating system.
    pub connections: usize,
    pub header_timeout: Duration,
    /// Longest time that a client takes no byte of its answer.
    pub write_timeout: Duration,
    pub open: IntGauge,
}

/// Serves until `shutdown`, then until every request in flight is answered.
pub(crate) async fn serve(listener: TcpListener, router: Router, bounds: Bounds, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let connections = TaskTracker::new();
    // Dropping this function's future cuts off the connections that are left.
    let cut = CancellationToken::new();
    let _guard = cut.clone().drop_guard();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let cut = cut.clone();
                let serving = connection(stream, router.clone(), bounds.clone(), shutdown.clone());
                let open = bounds.open.clone();
                open.inc();
                connections.spawn(async move {
                    tokio::select! {
                        () = serving => {}
                        () = cut.cancelled() => {}
                    }
                    open.dec();
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; retrying");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
    // The listener closes before the wait: a new connection is refused, not left hanging.
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, router: Router, bounds: Bounds, shutdown: CancellationToken) {
    // Small answers and events must not wait for more to send.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(Unstalled::new(stream, bounds.write_timeout)), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
