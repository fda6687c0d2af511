//! Examples of the document, which tell one story: a run of `make test`, from its creation to its evidence.

mod api_keys;
mod archives;
mod artifacts;
mod evidence;
mod projects;
mod runs;
mod templates;
mod usage;
mod webhooks;

use schemas::Timestamp;
use schemas::api::list::List;
use serde::Serialize;
use serde_json::Value;

pub(crate) use api_keys::{api_key_answer, api_keys};
pub(crate) use archives::{archive_answer, declared_archive, finalize_archive, transfer_answer};
pub(crate) use artifacts::{artifact_answer, artifacts_of_sandbox, download_url, tombstone};
pub(crate) use evidence::{attestations, evidence_answer, inclusion_answer, jwks};
pub(crate) use projects::{create_project, project_answer, projects};
pub(crate) use runs::{create_run, events, run_answer, runs};
pub(crate) use templates::{template_answer, templates};
pub(crate) use usage::usage;
pub(crate) use webhooks::{create_webhook, created_webhook, deliveries, delivery_answer, webhook_answer, webhooks};

const SHA256: &str = "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069";
const SIZE: u64 = 48_211;
const URL: &str = "https://crownest.example";

fn written(example: impl Serialize) -> Value {
    serde_json::to_value(example).unwrap_or_default()
}

/// Milliseconds after the story's beginning.
fn at(millis: u64) -> Timestamp {
    let begin = "2026-01-31T12:00:00.000Z".parse::<Timestamp>();
    begin.map_or_else(|_| Timestamp::now(), |begin| begin.plus_millis(millis))
}

/// Identifiers with the right prefix and a suffix that reads as one.
macro_rules! example_id {
    ($prefix:literal) => {
        concat!($prefix, "_01m89bpm1vtth71tw1q0yf5swh").to_owned().try_into().unwrap_or_else(|_| unreachable!())
    };
}
use example_id;

fn list<T>(entry: T) -> List<T> {
    List { data: vec![entry], has_more: false, next_cursor: None }
}
