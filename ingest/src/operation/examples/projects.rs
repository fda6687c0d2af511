//! Examples about projects.

use schemas::api::project::{CreateProject, Project, ProjectAnswer};
use serde_json::Value;

use super::{at, example_id, list, written};

fn project() -> Project {
    Project { id: example_id!("prj"), org_id: example_id!("org"), name: "Default".to_owned(), created_at: at(0) }
}

pub(crate) fn create_project() -> Value {
    written(CreateProject { name: "Nightly".to_owned() })
}

pub(crate) fn project_answer() -> Value {
    written(ProjectAnswer { project: project() })
}

pub(crate) fn projects() -> Value {
    written(list(project()))
}
