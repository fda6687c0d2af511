//! Private parsers of untrusted bytes, opened for the fuzz targets alone.

use std::sync::OnceLock;

use axum::http::{HeaderValue, Uri};
use clap::Parser;
use schemas::Timestamp;
use schemas::api::archive::{DeclaredArchive, FinalizeArchive};
use schemas::api::project::CreateProject;
use schemas::api::webhook::CreateWebhook;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::ApiConfig;
use crate::events::frame;
use crate::http::query::Query;
use crate::http::{body, byte_range, content_disposition};
use crate::idempotency::Fingerprint;
use crate::new_run::NewRun;
use crate::webhooks::check_url;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    api: ApiConfig,
}

/// Reads a body as every kind of request. Returns an accepted run: its command and the paths of its artifacts.
pub fn request(bytes: &[u8]) -> Option<(String, Vec<String>)> {
    static CONFIG: OnceLock<ApiConfig> = OnceLock::new();
    let config = CONFIG.get_or_init(|| Flags::parse_from(["fuzz"]).api);
    let value = body::parse_object(bytes).ok()?;
    assert!(Fingerprint::of(&value).is_ok(), "an answer could not be found again");
    shape::<FinalizeArchive>(&value);
    shape::<DeclaredArchive>(&value);
    shape::<CreateProject>(&value);
    if let Some(webhook) = shape::<CreateWebhook>(&value) {
        let _ = check_url(&webhook.url, &[]);
    }
    let run = NewRun::check(&value, config).ok()?;
    Some((run.command, run.artifacts.into_iter().map(|artifact| artifact.path).collect()))
}

fn shape<T: DeserializeOwned>(value: &Value) -> Option<T> {
    body::shape(value).ok()
}

/// Reads a query with all parameters of lists.
pub fn query(text: &str) -> Option<()> {
    let uri: Uri = format!("/?{text}").parse().ok()?;
    let query = Query::new(axum::extract::Query::try_from_uri(&uri).ok()?.0).ok()?;
    let _ = query.parsed::<Timestamp>("createdAfter").map(|time| time.map(|time| time.to_string()));
    let _ = query.flag("wait");
    if let Ok(page) = query.page() {
        assert!(page.one_more() > 1);
        if let Some(at) = page.after().0 {
            assert!((1970..=9999).contains(&at.year()), "{at} is a time that PostgreSQL may refuse");
        }
    }
    Some(())
}

/// Reads a `Range` header, and makes a header of a file name.
pub fn headers(text: &str, size: u64) {
    if let byte_range::Ranged::Part(part) = byte_range::resolve(text, size) {
        assert!(part.start() <= part.end() && *part.end() < size, "{part:?} of {size}");
    }
    let name: HeaderValue = content_disposition::attachment(text);
    assert!(name.to_str().is_ok_and(|name| name.starts_with("attachment")));
}

/// Reads the lines of a stored frame that claims to have these events.
pub fn lines(frame: &[u8], first_seq: u64, last_seq: u64, plain_bytes: u64) -> Option<Vec<(u64, bytes::Bytes)>> {
    let lines = frame::lines(frame, first_seq, last_seq, plain_bytes).ok()?;
    Some(lines.into_iter().map(|line| (line.seq, line.json)).collect())
}
