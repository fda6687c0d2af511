//! The authenticated caller of a request, and what the caller may do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemas::api::key::ApiKey;
use schemas::id::{ApiKeyId, OrgId, ProjectId};
use schemas::scope::Scope;

use crate::db::api_keys::Bounds;
use crate::http::error::{ApiError, Code};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Arc<ApiKey>);

impl Caller {
    pub(super) fn new(key: Arc<ApiKey>) -> Self {
        Self(key)
    }

    pub(crate) fn org(&self) -> &OrgId {
        &self.0.org_id
    }

    /// The API key, to which idempotency keys and rate limits belong.
    pub(crate) fn credential(&self) -> &ApiKeyId {
        &self.0.id
    }

    pub(crate) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.0.scopes.contains(&scope) {
            return Ok(());
        }
        let message = format!("This API key lacks the scope {scope}: use a key that has it.");
        Err(ApiError::new(Code::Forbidden, message).with_details(serde_json::json!({ "requiredScope": scope })))
    }

    /// The projects that the key is limited to; `None` when it is not.
    pub(crate) fn only_projects(&self) -> Option<&[ProjectId]> {
        self.0.project_ids.as_deref()
    }

    /// The bounds within which the caller acts on API keys.
    pub(crate) fn bounds(&self) -> Bounds<'_> {
        Bounds {
            scopes: self.0.scopes.iter().map(|scope| scope.as_str()).collect(),
            projects: self.only_projects().map(|ids| ids.iter().map(ProjectId::as_str).collect()),
        }
    }

    pub(crate) fn may_see(&self, project: &ProjectId) -> bool {
        self.only_projects().is_none_or(|only| only.contains(project))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::internal(anyhow::anyhow!("a route that needs a caller is not authenticated")))
    }
}
