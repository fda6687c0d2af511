//! The root file system of the run's template: fetched and extracted once for each digest, shared read-only by all runs.

use schemas::run::FailureReason;
use tempfile::TempPath;

use super::download::{self, FetchError};
use super::{Attempt, Interrupted};
use crate::extraction::ExtractError;
use crate::trees::{CacheError, CachedTree, TreeKey};

/// Operators import templates for everybody.
const OWNER: &str = "template";

/// The template's tree; `None` if the template is the host's `/usr`.
pub(super) async fn tree(attempt: &Attempt<'_>) -> Result<Option<CachedTree>, Interrupted> {
    let template = &attempt.job.template;
    let Some(root_fs) = &template.root_fs else { return Ok(None) };
    let failed = |what: String| Interrupted::Failed {
        reason: FailureReason::InternalError,
        message: format!("template {} {}: {what}", template.slug, template.version),
    };
    let key = TreeKey::new(OWNER, &root_fs.sha256).ok_or_else(|| failed("it has no valid digest".to_owned()))?;
    let fetch = async || -> Result<TempPath, FetchError> {
        tracing::info!(digest = root_fs.digest(), bytes = root_fs.size_bytes, "fetching a template");
        // What counts is the digest of what is in it, which the extraction checks.
        Ok(download::object(attempt, &root_fs.key, None).await?.path)
    };
    let tree = attempt.context.templates.get(&key, fetch).await.map_err(|error| {
        failed(match error {
            CacheError::Fetch(error) => error.to_string(),
            CacheError::Extract(error) => {
                tracing::error!("cannot extract a template: {}", download::chain(&error));
                let damaged = matches!(error, ExtractError::Unreadable { .. });
                if damaged { "what is in the store is damaged" } else { "it cannot be extracted" }.to_owned()
            }
            CacheError::Io(error) => {
                tracing::error!(%error, "cannot keep a template in the cache");
                "it cannot be kept on the executor's disk".to_owned()
            }
        })
    })?;
    Ok(Some(tree))
}
