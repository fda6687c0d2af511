//! Projects: the parts of an organization that runs and limits belong to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{OrgId, ProjectId};
use crate::{Timestamp, limits};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    pub id: ProjectId,
    pub org_id: OrgId,
    pub name: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectAnswer {
    pub project: Project,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateProject {
    /// No control characters; leading and trailing blanks are dropped.
    #[schemars(length(min = 1, max = limits::PROJECT_NAME_CHARS), regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"))]
    pub name: String,
}
