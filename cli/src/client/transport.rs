//! One HTTP client with the key, and how a request of the API is sent.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Url, redirect};
use serde_json::Value;

use super::answer;
use super::idempotency::IdempotencyKey;
use super::retry::retrying;
use crate::args::connection::ConnectionArgs;
use crate::connection::Connection;
use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For a request and its answer as a whole; uploads, downloads and streams have their own limits.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    connection: Arc<Connection>,
    authorization: HeaderValue,
}

/// A request with a JSON answer.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub method: Method,
    /// Relative to the API's address, such as `v1/projects`.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Option<Value>,
    pub idempotency_key: Option<&'a IdempotencyKey>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), query: Vec::new(), body: None, idempotency_key: None }
    }

    pub(super) fn post(path: impl Into<String>, key: &'a IdempotencyKey) -> Self {
        Self { method: Method::POST, idempotency_key: Some(key), ..Self::get(path) }
    }
}

impl Client {
    pub(crate) fn connect(args: &ConnectionArgs) -> Result<Self, Failure> {
        Self::new(Connection::resolve(args)?)
    }

    pub(crate) fn new(connection: Connection) -> Result<Self, Failure> {
        let bearer = format!("Bearer {}", connection.api_key.expose());
        let mut authorization = HeaderValue::from_str(&bearer)
            .map_err(|_| Failure::new("invalid_config", "the API key has characters that no header can carry"))?;
        authorization.set_sensitive(true);
        let http = build_http(connection.api_url.scheme() == "http", http_builder)
            .map_err(|error| answer::network(error).hint("Install the CA certificates of this system."))?;
        Ok(Self { http, connection: Arc::new(connection), authorization })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends a call, again and again if need be, and returns its JSON.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        retrying(|| async {
            let url = self.url(&call.path)?;
            let mut request = self.request(call.method.clone(), url, call.idempotency_key);
            request = request.query(&call.query).timeout(REQUEST_TIMEOUT);
            if let Some(body) = &call.body {
                request = request.json(body);
            }
            let response = request.send().await.map_err(answer::network)?;
            answer::json(response).await
        })
        .await
    }

    pub(super) fn url(&self, path: &str) -> Result<Url, Failure> {
        let invalid = |_| Failure::invalid_answer(format!("`{}` is not an address", path.escape_debug()));
        self.connection.api_url.join(path).map_err(invalid)
    }

    /// The key is added only if `url` belongs to the API: an upload may go to an object store.
    pub(super) fn request(&self, method: Method, url: Url, key: Option<&IdempotencyKey>) -> RequestBuilder {
        let ours = url.origin() == self.connection.api_url.origin();
        let mut request = self.http.request(method, url).header(ACCEPT, "application/json");
        if ours {
            request = request.header(AUTHORIZATION, self.authorization.clone());
        }
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_KEY, key.as_str());
        }
        request
    }
}

/// A client with our settings and a TLS provider, without which reqwest panics.
pub(crate) fn http_builder() -> reqwest::ClientBuilder {
    // Fails only if a provider was installed before: then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("crownest-cli/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none())
}

/// Builds it. A machine without CA certificates can still speak plain HTTP, and trusts nobody with TLS.
pub(crate) fn build_http(
    plain: bool,
    builder: impl Fn() -> reqwest::ClientBuilder,
) -> reqwest::Result<reqwest::Client> {
    match builder().build() {
        Err(_) if plain => builder().tls_certs_only([]).build(),
        built => built,
    }
}
