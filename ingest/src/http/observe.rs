//! Middleware around every request: an id, a span for the logs, metrics, and security headers for browsers.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, field};

use crate::app::App;

const REQUEST_ID: &str = "x-request-id";
const MAX_ID_LEN: usize = 128;

pub(crate) async fn request(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known_method(request.method());
    // Clients choose paths freely: only declared routes become labels.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let id = request_id(&request);
    let span = tracing::info_span!(
        "request",
        request_id = id.to_str().unwrap_or_default(),
        method,
        route,
        run_id = field::Empty,
        trace_id = field::Empty
    );
    let answered = async {
        let mut response = next.run(request).await;
        let status = response.status();
        let seconds = started.elapsed().as_secs_f64();
        app.metrics.requests.with_label_values(&[route.as_str(), method, status.as_str()]).inc();
        app.metrics.latency.with_label_values(&[route.as_str(), method]).observe(seconds);
        let latency_ms = seconds * 1000.0;
        if matches!(method, "GET" | "HEAD") && status.is_success() {
            tracing::debug!(status = status.as_u16(), latency_ms, "answered");
        } else {
            tracing::info!(status = status.as_u16(), latency_ms, "answered");
        }
        response.headers_mut().insert(REQUEST_ID, id);
        response
    };
    answered.instrument(span).await
}

pub(crate) async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// The client's own id if it is fit for a log, so that both sides find the same one.
fn request_id(request: &Request) -> HeaderValue {
    let fit = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=MAX_ID_LEN).contains(&bytes.len()) && bytes.iter().all(allowed)
    };
    if let Some(given) = request.headers().get(REQUEST_ID).filter(fit) {
        return given.clone();
    }
    let mut random = [0u8; 16];
    // Without entropy the id repeats, which is only a nuisance in the logs.
    let _ = getrandom::fill(&mut random);
    HeaderValue::try_from(hex::encode(random)).unwrap_or_else(|_| HeaderValue::from_static("none"))
}
