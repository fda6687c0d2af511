//! Templates as clients see them. Operators import templates, which belong to no organization.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{TemplateId, TemplateVersionId};

/// A template with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferedTemplate {
    pub id: TemplateId,
    /// Value for `template` of a run.
    pub slug: String,
    /// True for the template of runs that name neither a template nor a version.
    pub is_default: bool,
    /// Time at which the oldest version was imported.
    pub created_at: Timestamp,
    /// Version of runs that name only the template. Absent if the operator has chosen none: such runs must then name a
    /// version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version_id: Option<TemplateVersionId>,
    /// The 100 newest versions, newest first, and always the current one.
    pub versions: Vec<OfferedVersion>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferedVersion {
    /// Value for `templateVersionId` of a run.
    pub id: TemplateVersionId,
    pub version: String,
    /// Digest of the root file system, as in runs and evidence. Absent where the executor's host presents its own
    /// `/usr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// True for the version of runs that name only the template.
    pub is_current: bool,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateAnswer {
    pub template: OfferedTemplate,
}
