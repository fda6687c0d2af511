//! The middleware of every operation with a caller: a valid API key, then the key's rate limit.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Caller;
use crate::app::App;
use crate::archive::discard;
use crate::http::error::{ApiError, Code};
use crate::rate_limit::Standing;

pub(crate) async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let admitted = match admit(&app, request.headers()).await {
        Ok(admitted) => admitted,
        Err(error) => return error.into_response(),
    };
    let (caller, standing) = admitted;
    if let Some(standing) = &standing
        && standing.refused
    {
        let message = format!("This API key has made {} requests within a minute: slow down.", standing.limit);
        let error = ApiError::retry_after(Code::RateLimited, message, standing.reset_s);
        // Otherwise a client in the middle of an upload would see a broken connection, not the refusal.
        discard(request.into_body()).await;
        return standing.mark(error.into_response());
    }
    let (org, method) = (caller.org().clone(), request.method().clone());
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    let response = app.answer_buffers.hold(org.as_str(), &method, response).await;
    match standing {
        Some(standing) => standing.mark(response),
        None => response,
    }
}

async fn admit(app: &App, headers: &HeaderMap) -> Result<(Caller, Option<Standing>), ApiError> {
    let key = bearer(headers)?;
    let caller = app.callers.find(&app.pool, key).await?.ok_or_else(|| {
        ApiError::new(Code::InvalidApiKey, "This API key is not valid: it is unknown, mistyped or revoked.")
    })?;
    app.last_used.record(caller.credential());
    let limit = app.plans.requests_per_minute(&app.pool, caller.org()).await?;
    let standing = limit.map(|limit| app.rate_limit.count(caller.credential(), limit));
    Ok((caller, standing))
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let missing = || {
        let message = "Expected the header `Authorization: Bearer <API key>`, once.";
        ApiError::new(Code::Unauthorized, message)
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    // With two headers, a proxy may have checked the other one.
    let (Some(value), None) = (values.next(), values.next()) else { return Err(missing()) };
    let (scheme, key) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    let key = key.trim();
    // RFC 9110 section 11.1: the scheme is case-insensitive.
    if scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() { Ok(key) } else { Err(missing()) }
}
