//! The routes: every operation of `endpoints`, authenticated unless it is public, and the pages without an operation.
//! Any other path or method answers `not_found`.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, get_service};
use infra::ops::Ops;

use crate::app::App;
use crate::auth::authenticate;
use crate::endpoints;
use crate::http::error::{ApiError, Code};
use crate::http::observe;
use crate::openapi;
use crate::operation::Endpoint;

pub(crate) fn build(app: &App, ops: &Ops) -> Router {
    let health = ops.routes();
    let (public, keyed): (Vec<_>, Vec<_>) = endpoints::all().into_iter().partition(Endpoint::is_public);
    let keyed = routes(keyed)
        .method_not_allowed_fallback(nothing_here)
        .route_layer(from_fn_with_state(app.clone(), authenticate));
    Router::new()
        .merge(keyed)
        .merge(routes(public))
        .with_state(app.clone())
        .route("/openapi.json", get(openapi::serve))
        // Metrics are on the operations listener only.
        .route("/healthz", get_service(health.clone()))
        .route("/readyz", get_service(health))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .layer(from_fn(observe::security_headers))
        .layer(from_fn_with_state(app.clone(), observe::request))
}

fn routes(endpoints: Vec<Endpoint>) -> Router<App> {
    endpoints.into_iter().fold(Router::new(), |router, endpoint| router.route(endpoint.route, endpoint.methods))
}

async fn nothing_here() -> ApiError {
    ApiError::new(Code::NotFound, "This route does not exist, or not with this method.")
}
