//! Examples about API keys.

use schemas::api::key::{ApiKey, ApiKeyAnswer};
use schemas::scope::Scope;
use serde_json::Value;

use super::{at, example_id, list, written};

fn api_key() -> ApiKey {
    ApiKey {
        id: example_id!("key"),
        org_id: example_id!("org"),
        name: "ci".to_owned(),
        prefix: "cn_live_4f9a".to_owned(),
        last4: "x7Qp".to_owned(),
        project_ids: None,
        scopes: vec![Scope::WorkspaceRunCreate, Scope::WorkspaceRunRead],
        created_by_user_id: example_id!("usr"),
        created_at: at(0),
        revoked_at: None,
        last_used_at: Some(at(4_000)),
    }
}

pub(crate) fn api_key_answer() -> Value {
    written(ApiKeyAnswer { api_key: api_key() })
}

pub(crate) fn api_keys() -> Value {
    written(list(api_key()))
}
