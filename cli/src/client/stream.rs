//! One connection to the live events of a run. What to do when it breaks is decided in `follow`.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use schemas::id::RunId;

use super::answer;
use super::run_event::RunEvent;
use super::sse::{Message, Parser};
use super::transport::{Client, REQUEST_TIMEOUT};
use crate::failure::Failure;

/// The server sends heartbeats; without any for so long the connection is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

#[derive(Debug)]
pub(super) struct EventStream {
    response: Response,
    parser: Parser,
    ready: VecDeque<RunEvent>,
}

impl EventStream {
    pub(super) async fn open(client: &Client, run: &RunId, after_seq: u64) -> Result<Self, Failure> {
        let url = client.url(&format!("v1/workspace-runs/{run}/events"))?;
        let request = client
            .request(Method::GET, url, None)
            .header(ACCEPT, "text/event-stream")
            .header("last-event-id", after_seq.to_string())
            .query(&[("stream", "true"), ("afterSeq", &after_seq.to_string())]);
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, request.send()).await;
        let response = sent.map_err(|_| Failure::new("timeout", "no answer to the stream request").retryable())?;
        let response = answer::successful(response.map_err(answer::network)?).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(Failure::invalid_answer(format!("expected a stream of events, got `{}`", kind.escape_debug())));
        }
        Ok(Self { response, parser: Parser::default(), ready: VecDeque::new() })
    }

    /// The next event, or `None` when the server ended the stream.
    pub(super) async fn next(&mut self) -> Result<Option<RunEvent>, Failure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let piece = match tokio::time::timeout(IDLE_TIMEOUT, self.response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(answer::network(error)),
                Err(_) => return Err(Failure::new("timeout", "the stream of events went silent").retryable()),
            };
            let messages = self.parser.push(&piece).map_err(|_| broken("the stream has an endless event"))?;
            for message in messages {
                self.ready.push_back(parse(&message)?);
            }
        }
    }
}

fn parse(message: &Message) -> Result<RunEvent, Failure> {
    let body = serde_json::from_str(&message.data).map_err(|_| broken("the stream has an event that is not JSON"))?;
    RunEvent::parse(body).map_err(|_| broken("the stream has an event without `seq` or `type`"))
}

/// Damage on the way: the same event may come right from another connection.
fn broken(message: &str) -> Failure {
    Failure::new("invalid_response", message).retryable()
}
