//! `/v1/templates`: the templates of runs, which are the same for every key.

pub(super) mod get;
pub(super) mod list;

use std::fmt::Display;

use database::GenericClient;
use schemas::id::TemplateVersionId;

use crate::db::templates::offered;
use crate::http::error::{ApiError, Code};

/// Maximum names in a message, which then says that there are more.
const MAX_NAMED: usize = 20;
/// One more than is named.
const ASKED: i64 = 21;

/// Refuses a slug or id that does not exist.
async fn unknown(client: &impl GenericClient) -> Result<ApiError, ApiError> {
    let there = listed(&offered::slugs(client, ASKED).await?);
    Ok(ApiError::new(Code::NotFound, format!("template: expected one that exists. There is {there}.")))
}

/// Refuses a template, a version, or a pair of both that a run cannot have, and says what it can have.
pub(crate) async fn not_had(
    client: &impl GenericClient,
    slug: &str,
    version: Option<&TemplateVersionId>,
) -> Result<ApiError, ApiError> {
    let names = offered::names(client, Some(slug), ASKED).await?;
    if names.is_empty() {
        return unknown(client).await;
    }
    let there: Vec<String> = names.iter().map(|(id, _, version)| format!("{id} ({version})")).collect();
    let there = listed(&there);
    let message = match version {
        Some(_) => format!("templateVersionId: expected a version of the template {slug}. There is {there}."),
        None => format!(
            "template: {slug} has no version for runs that name none; choose one by templateVersionId. There is {there}."
        ),
    };
    Ok(ApiError::new(Code::NotFound, message))
}

/// Refuses a version that does not exist, of a run that named no template.
pub(crate) async fn version_unknown(client: &impl GenericClient) -> Result<ApiError, ApiError> {
    let names = offered::names(client, None, ASKED).await?;
    let there: Vec<String> = names.iter().map(|(id, slug, version)| format!("{id} ({slug} {version})")).collect();
    let message = format!("templateVersionId: expected a version that exists. There is {}.", listed(&there));
    Ok(ApiError::new(Code::NotFound, message))
}

fn listed<T: Display>(names: &[T]) -> String {
    let mut text = names.iter().take(MAX_NAMED).map(T::to_string).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        text.push_str("none");
    } else if names.len() > MAX_NAMED {
        text.push_str(" and more: see GET /v1/templates");
    }
    text
}
