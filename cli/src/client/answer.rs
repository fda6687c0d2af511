//! From an HTTP answer to its JSON or to a failure.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use super::remediation::remediation;
use crate::failure::Failure;
use crate::output::escape;

/// Characters of a foreign error page that are shown.
const SHOWN_CHARS: usize = 200;

/// The JSON body of a successful answer.
pub(super) async fn json(response: Response) -> Result<Value, Failure> {
    let response = successful(response).await?;
    let (status, url) = (response.status(), without_secrets(response.url()));
    let body = response.bytes().await.map_err(network)?;
    serde_json::from_slice(&body).map_err(|_| {
        let start = escape::line(&shortened(&body));
        let mut failure = Failure::invalid_answer(format!("expected JSON from {url}, got: {start}"));
        failure.status = Some(status.as_u16());
        failure
    })
}

/// Turns an unsuccessful answer into a failure.
pub(super) async fn successful(response: Response) -> Result<Response, Failure> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(failure(response).await)
}

async fn failure(response: Response) -> Failure {
    let (status, url) = (response.status(), without_secrets(response.url()));
    if status.is_redirection() {
        // Following would turn a POST into a GET, or show the key to another host.
        let mut failure = Failure::invalid_answer(format!("{url} answered {status}: redirects are not followed"));
        failure.status = Some(status.as_u16());
        return failure;
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(Duration::from_secs);
    let is_json =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let body = response.bytes().await.unwrap_or_default();
    let error = serde_json::from_slice::<Value>(&body).ok().filter(|_| is_json).map(|mut body| body["error"].take());
    let mut failure = match error.as_ref().and_then(|error| Some((error["code"].as_str()?, error["message"].as_str()?)))
    {
        Some((code, message)) => Failure::new(code, message),
        None => Failure::new(
            &format!("http_{}", status.as_u16()),
            format!("{url} answered {status}: {}", escape::line(&shortened(&body))),
        ),
    };
    failure.details = error.as_ref().and_then(|error| error.get("details")).cloned().map(Box::new);
    let hint = error.as_ref().and_then(|error| error["remediation"].as_str());
    failure.remediation = hint.or(remediation(&failure.code)).map(str::to_owned);
    failure.retryable = is_retryable(status, &failure.code);
    failure.status = Some(status.as_u16());
    failure.retry_after = retry_after;
    failure
}

fn is_retryable(status: StatusCode, code: &str) -> bool {
    // The first request with the key still runs, perhaps our own one whose connection broke.
    code == "idempotency_request_in_progress"
        || status == StatusCode::TOO_MANY_REQUESTS
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// No answer, or only a part of one.
pub(super) fn network(mut error: reqwest::Error) -> Failure {
    if let Some(url) = error.url_mut() {
        *url = without_secrets(url);
    }
    // The outermost message says only "error sending request"; the cause is what helps.
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    let failure = if error.is_timeout() {
        Failure::new("timeout", message)
    } else if error.is_builder() {
        return Failure::new("internal_error", message);
    } else {
        Failure::new("network_error", message)
    };
    failure.retryable().hint("Check that the address is right and that the server can be reached.")
}

/// For messages, which end up in logs: an upload's address may be signed in its query.
fn without_secrets(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    // Fails only for addresses that cannot have a password.
    let _ = url.set_password(None);
    url
}

fn shortened(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().chars().take(SHOWN_CHARS).collect()
}
