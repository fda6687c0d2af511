//! Templates as clients see them: what runs may ask for. Operators import them; they belong to no organization.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{TemplateId, TemplateVersionId};

/// A template with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferedTemplate {
    pub id: TemplateId,
    /// What a run has in `template`.
    pub slug: String,
    /// Runs that name neither a template nor a version get this one.
    pub is_default: bool,
    /// When its oldest version was imported.
    pub created_at: Timestamp,
    /// The version of runs that name the template only. Absent if the operator has chosen none: such runs must name a
    /// version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version_id: Option<TemplateVersionId>,
    /// Newest first: the newest 100, and the current one in any case.
    pub versions: Vec<OfferedVersion>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferedVersion {
    /// What a run has in `templateVersionId`.
    pub id: TemplateVersionId,
    pub version: String,
    /// Of the root file system, as runs and evidence have it. Absent where the executor's host presents its own `/usr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether it is the version of runs that name the template only.
    pub is_current: bool,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateAnswer {
    pub template: OfferedTemplate,
}
