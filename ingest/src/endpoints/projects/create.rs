//! `POST /v1/projects`

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use database::Transaction;
use schemas::api::project::{CreateProject, ProjectAnswer};
use schemas::limits::PROJECT_NAME_CHARS;
use schemas::scope::Scope;
use serde_json::Value;

use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::db::projects;
use crate::error::{ApiError, Code};
use crate::idempotency::{Begun, IdempotencyKey, conclude};

pub(crate) async fn handle(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response, ApiError> {
    caller.require(Scope::ProjectCreate)?;
    if caller.only_projects().is_some() {
        let message = "This API key is limited to some projects: it could not see the new one.";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    let request = body::read_json(body).await?;
    let CreateProject { name } = body::shape(&request)?;
    let name = name.trim();
    if !(1..=PROJECT_NAME_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        let message = format!("name: expected 1 to {PROJECT_NAME_CHARS} characters without control characters.");
        return Err(ApiError::invalid(message));
    }
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let done = create(&transaction, &caller, &key, &request, name).await;
    conclude(transaction, done).await
}

async fn create(
    transaction: &Transaction<'_>,
    caller: &Caller,
    key: &IdempotencyKey,
    request: &Value,
    name: &str,
) -> Result<Response, ApiError> {
    let attempt = match key.begin(transaction, caller, ("POST", "/v1/projects"), request).await? {
        Begun::Fresh(attempt) => attempt,
        Begun::Replayed(response) => return Ok(response),
    };
    let project = projects::insert(transaction, caller.org(), name).await?;
    attempt.finish(transaction, StatusCode::CREATED, &ProjectAnswer { project }).await
}
