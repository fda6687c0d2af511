//! Endpoints for operators, on a listener of their own: `/healthz`, `/readyz` and Prometheus `/metrics`.

use std::fmt::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Args;
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Args)]
pub struct OpsConfig {
    /// Address to serve /healthz, /readyz and /metrics on; port 0 takes a free port
    #[arg(long, env = "CROWNEST_OPS_LISTEN", default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub ops_listen: SocketAddr,
}

/// A connection without which a service is not ready.
pub trait Ready: Clone + Send + Sync + 'static {
    /// The name that `/readyz` gives it.
    const NAME: &'static str;

    /// Why it does not answer, if it does not.
    fn ready(&self) -> impl Future<Output = Result<(), String>> + Send;
}

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> CheckFuture + Send + Sync>;

/// The metrics and readiness checks of one service. Cheap to clone.
#[derive(Clone)]
pub struct Ops {
    pub registry: Registry,
    checks: Vec<(&'static str, Check)>,
}

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ops").field("checks", &self.checks.len()).finish()
    }
}

impl Default for Ops {
    fn default() -> Self {
        Self::new()
    }
}

impl Ops {
    pub fn new() -> Self {
        Self { registry: Registry::new(), checks: Vec::new() }
    }

    /// Makes the service ready only while `connection` is; connections are asked in the order of these calls.
    pub fn ready_when<R: Ready>(mut self, connection: &R) -> Self {
        let connection = connection.clone();
        let check = move || {
            let connection = connection.clone();
            Box::pin(async move { connection.ready().await }) as CheckFuture
        };
        self.checks.push((R::NAME, Arc::new(check)));
        self
    }

    /// Routes of these endpoints, for this listener or a public one.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self.clone()))
    }

    /// Serves until shutdown; returns the bound address immediately.
    pub async fn serve(&self, config: &OpsConfig, shutdown: CancellationToken) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind(config.ops_listen).await?;
        let address = listener.local_addr()?;
        let routes = self.routes();
        tokio::spawn(async move {
            let served = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "the listener for operators failed");
            }
        });
        Ok(address)
    }
}

async fn readyz(State(ops): State<Arc<Ops>>) -> Response {
    let mut failing = String::new();
    for (name, check) in &ops.checks {
        if let Err(reason) = check().await {
            let _ = writeln!(failing, "{name}: {reason}");
        }
    }
    if failing.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, failing).into_response()
}

async fn metrics(State(ops): State<Arc<Ops>>) -> Response {
    match TextEncoder::new().encode_to_string(&ops.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
