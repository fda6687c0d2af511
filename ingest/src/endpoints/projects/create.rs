//! `POST /v1/projects`

use axum::response::Response;
use schemas::api::project::{CreateProject, ProjectAnswer};
use schemas::limits::{PROJECT_NAME_CHARS, PROJECTS};
use schemas::scope::Scope;

use crate::db::{organizations, projects};
use crate::http::body;
use crate::http::error::{ApiError, Code};
use crate::operation::{Change, Keyed, Operation, examples, json};

pub(crate) const OPERATION: Keyed = Operation::post("/v1/projects", "createProject", "Create a project")
    .scope(Scope::ProjectCreate)
    .body(json::<CreateProject>(examples::create_project))
    .answers(201, json::<ProjectAnswer>(examples::project_answer))
    .keyed();

pub(crate) async fn handle(mut change: Change, (): ()) -> Result<Response, ApiError> {
    if change.caller.only_projects().is_some() {
        let message = "This API key is limited to some projects: it could not see the new one.";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    let request = change.json().await?;
    let CreateProject { name } = body::shape(&request)?;
    let name = name.trim();
    if !(1..=PROJECT_NAME_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        let message = format!("name: expected 1 to {PROJECT_NAME_CHARS} characters without control characters.");
        return Err(ApiError::invalid(message));
    }
    change
        .once(&request, async |transaction| {
            organizations::lock(transaction, change.caller.org()).await?;
            if projects::count(transaction, change.caller.org()).await? >= PROJECTS {
                return Err(ApiError::invalid(format!("An organization has at most {PROJECTS} projects.")));
            }
            let project = projects::insert(transaction, change.caller.org(), name).await?;
            Ok(ProjectAnswer { project })
        })
        .await
}
