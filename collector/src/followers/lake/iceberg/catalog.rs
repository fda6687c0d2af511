//! The client of an Iceberg REST catalog: as much of the specification's protocol as a writer of tables needs.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::config::IcebergConfig;
use super::metadata::Loaded;

/// Time for one request and its answer: catalogs write to an object store before they answer.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum characters of the catalog's message in an error.
const EXCERPT: usize = 300;

#[derive(Debug, thiserror::Error)]
pub(super) enum CatalogError {
    /// The catalog may have done the action.
    #[error("{action}: no answer: {reason}")]
    NoAnswer { action: &'static str, reason: String },
    #[error("{action}: the catalog answers {status}: {message}")]
    Refused { action: &'static str, status: StatusCode, message: String },
    #[error("{action}: the catalog's answer is not understood: {reason}")]
    NotUnderstood { action: &'static str, reason: String },
}

impl CatalogError {
    /// True if the catalog has certainly not done the action.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status, .. }
            if status.is_client_error() && *status != StatusCode::REQUEST_TIMEOUT)
    }

    fn has_status(&self, expected: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == expected)
    }
}

/// One namespace of a catalog.
#[derive(Debug)]
pub(super) struct Catalog {
    http: Client,
    config: IcebergConfig,
    /// `<uri>/v1`.
    base: Url,
    /// The prefix of the catalog's other paths, once it is known.
    prefix: Option<String>,
    namespace: Vec<String>,
    token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    defaults: Prefix,
    #[serde(default)]
    overrides: Prefix,
}

#[derive(Debug, Default, Deserialize)]
struct Prefix {
    prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Token {
    access_token: String,
}

impl Catalog {
    pub(super) fn new(uri: &Url, config: &IcebergConfig) -> anyhow::Result<Self> {
        // Only the first call succeeds, and all calls install the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .user_agent(concat!("CrowNest/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self {
            http,
            base: below(uri, ["v1"]),
            prefix: None,
            namespace: config.iceberg_namespace.split('.').map(str::to_owned).collect(),
            token: config.iceberg_token.as_ref().map(|token| token.reveal().to_owned()),
            config: config.clone(),
        })
    }

    /// `None` if there is no such table.
    pub(super) async fn load(&mut self, table: &str) -> Result<Option<Loaded>, CatalogError> {
        match self.call("loading a table", Method::GET, &["tables", table], None).await {
            Ok(loaded) => Ok(Some(loaded)),
            Err(error) if error.has_status(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a table, and before it the namespace. `None` if somebody else has just created the table.
    pub(super) async fn create(&mut self, request: &Value) -> Result<Option<Loaded>, CatalogError> {
        self.ensure_namespace().await?;
        match self.call("creating a table", Method::POST, &["tables"], Some(request)).await {
            Ok(created) => Ok(Some(created)),
            Err(error) if error.has_status(StatusCode::CONFLICT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn commit(
        &mut self,
        table: &str,
        requirements: &[Value],
        updates: &[Value],
    ) -> Result<Loaded, CatalogError> {
        let body = json!({
            "identifier": { "namespace": self.namespace, "name": table },
            "requirements": requirements,
            "updates": updates,
        });
        self.call("committing to a table", Method::POST, &["tables", table], Some(&body)).await
    }

    async fn ensure_namespace(&mut self) -> Result<(), CatalogError> {
        // Level by level: many catalogs want the parent first.
        for levels in 1..=self.namespace.len() {
            let body = json!({ "namespace": self.namespace[..levels], "properties": {} });
            let url = below(&self.prefixed().await?, ["namespaces"]);
            match self.send::<Value>("creating a namespace", Method::POST, url, Some(&body)).await {
                Err(error) if !error.has_status(StatusCode::CONFLICT) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends a request about the namespace.
    async fn call<T: DeserializeOwned>(
        &mut self,
        action: &'static str,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<T, CatalogError> {
        // The specification's separator of a namespace's levels.
        let namespace = self.namespace.join("\u{1f}");
        let url = below(&below(&self.prefixed().await?, ["namespaces", namespace.as_str()]), path.iter().copied());
        self.send(action, method, url, body).await
    }

    /// The base of the catalog's paths. The first call asks the catalog for it.
    async fn prefixed(&mut self) -> Result<Url, CatalogError> {
        if self.prefix.is_none() {
            let mut url = below(&self.base, ["config"]);
            if let Some(warehouse) = &self.config.iceberg_warehouse {
                url.query_pairs_mut().append_pair("warehouse", warehouse);
            }
            let settings: Settings = self.send("asking for the configuration", Method::GET, url, None).await?;
            self.prefix = Some(settings.overrides.prefix.or(settings.defaults.prefix).unwrap_or_default());
        }
        let prefix = self.prefix.as_deref().unwrap_or_default();
        Ok(below(&self.base, prefix.split('/').filter(|piece| !piece.is_empty())))
    }

    /// Sends a request, and once more with a new token if the token has expired.
    async fn send<T: DeserializeOwned>(
        &mut self,
        action: &'static str,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<T, CatalogError> {
        let known = self.token.is_some();
        match self.send_once(action, method.clone(), url.clone(), body).await {
            Err(error)
                if known && self.config.iceberg_credential.is_some() && error.has_status(StatusCode::UNAUTHORIZED) =>
            {
                self.token = None;
                self.send_once(action, method, url, body).await
            }
            answer => answer,
        }
    }

    async fn send_once<T: DeserializeOwned>(
        &mut self,
        action: &'static str,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<T, CatalogError> {
        let mut request = self.http.request(method, url);
        if let Some(token) = self.token().await? {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(action, request).await
    }

    async fn token(&mut self) -> Result<Option<&str>, CatalogError> {
        if let (None, Some(credential)) = (&self.token, &self.config.iceberg_credential) {
            let url = self.config.iceberg_oauth2_server_uri.clone();
            let url = url.unwrap_or_else(|| below(&self.base, ["oauth", "tokens"]));
            let form = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "client_credentials")
                .append_pair("client_id", &credential.client_id)
                .append_pair("client_secret", credential.client_secret.reveal())
                .append_pair("scope", &self.config.iceberg_scope)
                .finish();
            let request = self.http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
            let token: Token = answer("asking for a token", request).await?;
            self.token = Some(token.access_token);
        }
        Ok(self.token.as_deref())
    }
}

fn below<'a>(url: &Url, pieces: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = url.clone();
    // URLs of http and https have segments.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(pieces);
    }
    url
}

async fn answer<T: DeserializeOwned>(
    action: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<T, CatalogError> {
    let no_answer = |error: reqwest::Error| CatalogError::NoAnswer { action, reason: innermost(&error) };
    let answer = request.send().await.map_err(no_answer)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(no_answer)?;
    if !status.is_success() {
        return Err(CatalogError::Refused { action, status, message: message(&body) });
    }
    serde_json::from_slice(&body).map_err(|error| CatalogError::NotUnderstood { action, reason: error.to_string() })
}

/// The innermost cause of a failure, which tells a person most.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The catalog's message about an error, in the form of the protocol, of OAuth, or any other.
fn message(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let text =
        [&json["error"]["message"], &json["error_description"], &json["error"]].into_iter().find_map(Value::as_str);
    let text = text.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    text.chars().take(EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_put_together_whatever_is_in_them() {
        let base = Url::parse("http://127.0.0.1:8181/iceberg/").unwrap();
        assert_eq!(below(&base, ["v1", "a\u{1f}b", "x y"]).as_str(), "http://127.0.0.1:8181/iceberg/v1/a%1Fb/x%20y");
    }

    #[test]
    fn errors_say_what_the_catalog_says() {
        for (body, expected) in [
            (r#"{"error":{"message":"no","type":"X","code":409}}"#, "no"),
            (r#"{"error":"invalid_client","error_description":"unknown"}"#, "unknown"),
            (r#"{"error":"invalid_client"}"#, "invalid_client"),
            ("<html>", "<html>"),
        ] {
            assert_eq!(message(body.as_bytes()), expected);
        }
        assert_eq!(message(&[b'x'; 5_000]).len(), EXCERPT);
    }
}
