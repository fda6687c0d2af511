//! Which path leads where. Everything below `/v1` is authenticated, the rest is public; what is not listed here does not exist.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, get_service, post, put};
use infra::ops::Ops;

use crate::app::App;
use crate::auth::authenticate;
use crate::endpoints::{api_keys, artifacts, evidence_log, jwks, projects, runs, templates, usage, webhooks};
use crate::http::error::{ApiError, Code};
use crate::http::observe;
use crate::openapi;

pub(crate) fn build(app: &App, ops: &Ops) -> Router {
    let health = ops.routes();
    Router::new()
        .nest("/v1", v1(app))
        .route("/openapi.json", get(openapi::serve))
        .route("/.well-known/jwks.json", get(jwks::handle).with_state(app.clone()))
        .route("/tlog/{*path}", get(evidence_log::handle).with_state(app.clone()))
        // The operations listener has the metrics; the public one only says how the service is.
        .route("/healthz", get_service(health.clone()))
        .route("/readyz", get_service(health))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .layer(from_fn(observe::security_headers))
        .layer(from_fn_with_state(app.clone(), observe::request))
}

fn v1(app: &App) -> Router {
    Router::new()
        .route("/projects", get(projects::list::handle).post(projects::create::handle))
        .route("/templates", get(templates::list::handle))
        .route("/templates/{id}", get(templates::get::handle))
        .route("/usage", get(usage::handle))
        .route("/api-keys", get(api_keys::list::handle))
        .route("/api-keys/{id}", get(api_keys::get::handle).delete(api_keys::revoke::handle))
        .route("/workspace-runs", get(runs::list::handle).post(runs::create::handle))
        .route("/workspace-runs/{id}", get(runs::get::handle))
        .route("/workspace-runs/{id}/archive", put(runs::upload_archive::handle))
        .route("/workspace-runs/{id}/archive-transfer", post(runs::create_transfer::handle))
        .route("/workspace-runs/{id}/archive/finalize", post(runs::finalize_archive::handle))
        .route("/workspace-runs/{id}/start", post(runs::start::handle))
        .route("/workspace-runs/{id}/cancel", post(runs::cancel::handle))
        .route("/workspace-runs/{id}/events", get(runs::events::handle))
        .route("/workspace-runs/{id}/evidence", get(runs::evidence::handle))
        .route("/workspace-runs/{id}/attestations", get(runs::attestations::handle))
        .route("/workspace-runs/{id}/evidence/inclusion", get(runs::inclusion::handle))
        .route("/workspace-runs/{id}/evidence/event-log/{part}", get(runs::event_log_part::handle))
        .route("/uploads/{id}", put(runs::upload_staged::handle))
        .route("/artifacts/{id}", get(artifacts::get::handle).delete(artifacts::delete::handle))
        .route("/artifacts/{id}/download-url", post(artifacts::download_url::handle))
        .route("/artifacts/{id}/download", get(artifacts::download::handle))
        .route("/artifacts/{id}/tombstone", get(artifacts::tombstone::handle))
        .route("/webhooks", get(webhooks::list::handle).post(webhooks::create::handle))
        .route("/webhooks/{id}", get(webhooks::get::handle).delete(webhooks::delete::handle))
        .route("/webhooks/{id}/deliveries", get(webhooks::deliveries::handle))
        .route("/webhook-deliveries/{id}/redeliver", post(webhooks::redeliver::handle))
        .route("/sandboxes/{id}/artifacts", get(artifacts::of_sandbox::handle))
        .method_not_allowed_fallback(nothing_here)
        .route_layer(from_fn_with_state(app.clone(), authenticate))
        // Each handler bounds its own body.
        .layer(DefaultBodyLimit::disable())
        .with_state(app.clone())
}

async fn nothing_here() -> ApiError {
    ApiError::new(Code::NotFound, "This route does not exist, or not with this method.")
}
