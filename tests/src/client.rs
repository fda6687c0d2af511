//! A plain HTTP client of the public contract: JSON values, no shared types, so that tests see the wire shapes.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::{Archive, eventually};

#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

/// Status and JSON body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The code of an error.
    #[track_caller]
    pub fn error(self, status: u16) -> String {
        self.expect(status)["error"]["code"].as_str().expect("an error has a code").to_owned()
    }
}

impl Client {
    pub fn new(base: &str, key: &str) -> Self {
        // Only one of them can be first, and all are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Shorter than the server keeps an idle connection, so that none is reused in the moment it is closed.
        let idle = Duration::from_secs(2);
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(idle).build().expect("a client");
        Self { http, base: base.to_owned(), key: key.to_owned() }
    }

    /// A client that anybody could be.
    pub fn without_key(&self) -> Self {
        Self { key: String::new(), ..self.clone() }
    }

    /// The same client at another service.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// The body of a successful answer, as it is.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.expect("a body").to_vec()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.http.request(method, url).bearer_auth(&self.key).timeout(Duration::from_secs(60))
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.expect("a body");
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Answer { status, headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn create(&self, body: Value) -> String {
        let made = self.post("/v1/workspace-runs", &body).await.expect(201);
        made["workspaceRun"]["id"].as_str().expect("a run has an id").to_owned()
    }

    pub async fn upload(&self, run: &str, archive: &Archive) -> Answer {
        self.send(self.upload_request(run, archive)).await
    }

    pub fn upload_request(&self, run: &str, archive: &Archive) -> RequestBuilder {
        self.request(Method::PUT, &format!("/v1/workspace-runs/{run}/archive"))
            .header("content-type", "application/gzip")
            .header("x-crownest-archive-sha256", &archive.sha256)
            .header("x-crownest-archive-size", archive.bytes.len())
            .body(archive.bytes.clone())
    }

    pub async fn start(&self, run: &str) -> Value {
        self.post(&format!("/v1/workspace-runs/{run}/start"), &json!({})).await.expect(200)
    }

    pub async fn cancel(&self, run: &str) -> Answer {
        self.post(&format!("/v1/workspace-runs/{run}/cancel"), &json!({})).await
    }

    /// Create, upload and start; returns the id.
    pub async fn submit(&self, body: Value, archive: &Archive) -> String {
        let run = self.create(body).await;
        self.upload(&run, archive).await.expect(200);
        self.start(&run).await;
        run
    }

    /// Create and start in one request, with an archive that the server may have already. Returns the run as it is then.
    pub async fn submit_declared(&self, mut body: Value, archive: &Archive) -> Value {
        body["archive"] = json!({"sha256": archive.sha256, "sizeBytes": archive.bytes.len()});
        body["start"] = json!(true);
        self.post("/v1/workspace-runs", &body).await.expect(201)["workspaceRun"].clone()
    }

    pub async fn run(&self, run: &str) -> Value {
        self.get(&format!("/v1/workspace-runs/{run}")).await.expect(200)["workspaceRun"].clone()
    }

    /// Waits until the run has one of these states.
    pub async fn wait_for(&self, run: &str, states: &[&str]) -> Value {
        eventually(&format!("{run} becomes {states:?}"), async || {
            let now = self.run(run).await;
            states.contains(&now["status"].as_str().unwrap_or_default()).then_some(now)
        })
        .await
    }

    /// Waits until the run is over, in few requests: the API holds its answer until then.
    pub async fn wait_terminal(&self, run: &str) -> Value {
        eventually(&format!("{run} ends"), async || {
            let now = self.get(&format!("/v1/workspace-runs/{run}?wait=50")).await.expect(200)["workspaceRun"].clone();
            ["succeeded", "failed", "canceled"].contains(&now["status"].as_str().unwrap_or_default()).then_some(now)
        })
        .await
    }

    pub async fn evidence(&self, run: &str) -> Value {
        self.get(&format!("/v1/workspace-runs/{run}/evidence")).await.expect(200)["evidence"].clone()
    }

    /// All stored events, page by page.
    pub async fn events(&self, run: &str, limit: u32) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/v1/workspace-runs/{run}/events?afterSeq={after}&limit={limit}");
            let page = self.get(&path).await.expect(200);
            let data = page["data"].as_array().expect("a page has data").clone();
            assert!(data.len() <= limit as usize);
            events.extend(data);
            if page["hasMore"] != json!(true) {
                return events;
            }
            after = page["nextSeq"].as_u64().expect("more events have a next seq");
        }
    }

    /// A live stream; `last_event_id` as a browser sends it.
    pub async fn stream(&self, run: &str, after_seq: Option<u64>, last_event_id: Option<u64>) -> Sse {
        let after = after_seq.map(|seq| format!("&afterSeq={seq}")).unwrap_or_default();
        let mut request = self.request(Method::GET, &format!("/v1/workspace-runs/{run}/events?stream=true{after}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Sse { bytes: answer.bytes_stream().boxed(), buffer: Vec::new(), ready: VecDeque::new() }
    }
}

/// Frames of a server-sent event stream.
pub struct Sse {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: Vec<u8>,
    ready: VecDeque<(u64, Value)>,
}

impl std::fmt::Debug for Sse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sse").finish_non_exhaustive()
    }
}

impl Sse {
    /// The next event with its `id`; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<(u64, Value)> {
        while self.ready.is_empty() {
            let chunk = tokio::time::timeout(crate::DEADLINE, self.bytes.next()).await.expect("an event in time")?;
            self.buffer.extend_from_slice(&chunk.expect("the stream goes on"));
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let frame: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let frame = String::from_utf8(frame).expect("frames are text");
                self.ready.extend(parse(&frame));
            }
        }
        self.ready.pop_front()
    }

    /// Every event but heartbeats, byte for byte as it was sent, to the end of the stream.
    pub async fn frames(mut self) -> Vec<String> {
        let mut stream = std::mem::take(&mut self.buffer);
        while let Some(chunk) = tokio::time::timeout(crate::DEADLINE, self.bytes.next()).await.expect("more in time") {
            stream.extend_from_slice(&chunk.expect("the stream goes on"));
        }
        let stream = String::from_utf8(stream).expect("frames are text");
        let frames = stream.split_inclusive("\n\n").map(str::to_owned);
        frames.filter(|frame| parse(frame).is_some_and(|(_, event)| event["type"] != "heartbeat")).collect()
    }

    /// Every event but heartbeats, to the end of the stream.
    pub async fn rest(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some((id, event)) = self.next().await {
            if event["type"] != "heartbeat" {
                assert_eq!(event["seq"], json!(id), "the id of a frame is the seq of its event");
                events.push(event);
            }
        }
        events
    }
}

fn parse(frame: &str) -> Option<(u64, Value)> {
    let (mut id, mut data) = (None, None);
    for line in frame.lines() {
        if let Some(value) = line.strip_prefix("id:") {
            id = value.trim().parse().ok();
        } else if let Some(value) = line.strip_prefix("data:") {
            assert!(data.is_none(), "an event is one line");
            data = Some(serde_json::from_str(value).expect("events are JSON"));
        }
    }
    Some((id?, data?))
}
