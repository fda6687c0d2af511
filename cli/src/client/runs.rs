//! Requests about workspace runs.

use schemas::api::run::CreateRun;
use schemas::id::RunId;
use serde_json::Value;

use super::idempotency::IdempotencyKey;
use super::pages::Page;
use super::run_event::RunEvent;
use super::transport::{Call, Client};
use crate::args::workspace_runs::ListArgs;
use crate::failure::Failure;

const EVENTS_PER_PAGE: u32 = 500;

/// A page of stored events.
#[derive(Debug)]
pub(crate) struct EventPage {
    pub events: Vec<RunEvent>,
    pub has_more: bool,
}

impl Client {
    pub(crate) async fn create_run(&self, run: &CreateRun, key: &IdempotencyKey) -> Result<Value, Failure> {
        let body = serde_json::to_value(run)
            .map_err(|error| Failure::new("internal_error", format!("the request cannot be written: {error}")))?;
        let call = Call { body: Some(body), ..Call::post("v1/workspace-runs", key) };
        member(self.call(call).await?, "workspaceRun")
    }

    pub(crate) async fn run(&self, id: &RunId) -> Result<Value, Failure> {
        member(self.call(Call::get(format!("v1/workspace-runs/{id}"))).await?, "workspaceRun")
    }

    pub(crate) async fn start_run(&self, id: &RunId, key: &IdempotencyKey) -> Result<Value, Failure> {
        member(self.call(Call::post(format!("v1/workspace-runs/{id}/start"), key)).await?, "workspaceRun")
    }

    pub(crate) async fn cancel_run(&self, id: &RunId, key: &IdempotencyKey) -> Result<Value, Failure> {
        member(self.call(Call::post(format!("v1/workspace-runs/{id}/cancel"), key)).await?, "workspaceRun")
    }

    /// `not_found` until it is durable.
    pub(crate) async fn evidence(&self, id: &RunId) -> Result<Value, Failure> {
        member(self.call(Call::get(format!("v1/workspace-runs/{id}/evidence"))).await?, "evidence")
    }

    pub(crate) async fn runs(&self, args: &ListArgs) -> Result<Page, Failure> {
        let mut filter = Vec::new();
        filter.extend(args.status.map(|status| ("status".to_owned(), status.to_string())));
        filter.extend(args.project.as_ref().map(|project| ("projectId".to_owned(), project.to_string())));
        filter.extend(args.batch.as_ref().map(|batch| ("batchId".to_owned(), batch.to_string())));
        filter.extend(args.created_after.map(|time| ("createdAfter".to_owned(), time.to_string())));
        filter.extend(args.created_before.map(|time| ("createdBefore".to_owned(), time.to_string())));
        filter.extend(args.metadata.iter().map(|(key, value)| (format!("metadata.{key}"), value.clone())));
        self.list("v1/workspace-runs", filter, &args.page).await
    }

    /// The stored events of the run after `after_seq`.
    pub(crate) async fn events(&self, id: &RunId, after_seq: u64) -> Result<EventPage, Failure> {
        let query =
            vec![("afterSeq".to_owned(), after_seq.to_string()), ("limit".to_owned(), EVENTS_PER_PAGE.to_string())];
        let mut answer = self.call(Call { query, ..Call::get(format!("v1/workspace-runs/{id}/events")) }).await?;
        let Value::Array(items) = answer["data"].take() else {
            return Err(Failure::invalid_answer("expected a page of events, got an answer without `data`"));
        };
        let events = items.into_iter().map(RunEvent::parse).collect::<Result<_, _>>()?;
        Ok(EventPage { events, has_more: answer["hasMore"].as_bool().unwrap_or(false) })
    }
}

/// Takes a member out of an answer such as `{workspaceRun}`.
pub(super) fn member(mut answer: Value, name: &str) -> Result<Value, Failure> {
    match answer.get_mut(name).map(Value::take) {
        Some(value @ Value::Object(_)) => Ok(value),
        _ => Err(Failure::invalid_answer(format!("expected an answer with `{name}`, got none"))),
    }
}
