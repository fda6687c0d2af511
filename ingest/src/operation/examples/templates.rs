//! Examples about templates.

use schemas::api::template::{OfferedTemplate, OfferedVersion, TemplateAnswer};
use serde_json::Value;

use super::runs::run;
use super::{at, list, written};

fn template() -> OfferedTemplate {
    let run = run();
    let version = OfferedVersion {
        id: run.template_version_id,
        version: run.template_version,
        digest: run.template_digest,
        is_current: true,
        created_at: at(0),
    };
    OfferedTemplate {
        id: run.template_id,
        slug: run.template_slug,
        is_default: true,
        created_at: at(0),
        current_version_id: Some(version.id.clone()),
        versions: vec![version],
    }
}

pub(crate) fn template_answer() -> Value {
    written(TemplateAnswer { template: template() })
}

pub(crate) fn templates() -> Value {
    written(list(template()))
}
