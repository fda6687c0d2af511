//! An attempt to deliver a message.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use infra::network::{Network, may_reach};
use reqwest::{Client, StatusCode, Url, redirect};
use schemas::Timestamp;

use super::signature::sign;
use super::target::check_url;

/// Time limit of connecting, sending, and the head of the answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered(u16),
    /// The receiver wants no more messages.
    Gone(u16),
    Refused(u16),
    /// No answer, with the reason.
    Unreached(String),
}

pub(crate) async fn send(url: &str, id: &str, secret: &[u8], body: Bytes, allowed: &[Network]) -> Outcome {
    match attempt(url, id, secret, body, allowed).await {
        Ok(status) if status.is_success() => Outcome::Delivered(status.as_u16()),
        Ok(StatusCode::GONE) => Outcome::Gone(StatusCode::GONE.as_u16()),
        // A redirect is not followed: its target has not been checked.
        Ok(status) => Outcome::Refused(status.as_u16()),
        Err(reason) => Outcome::Unreached(reason),
    }
}

async fn attempt(url: &str, id: &str, secret: &[u8], body: Bytes, allowed: &[Network]) -> Result<StatusCode, String> {
    let url = check_url(url, allowed)?;
    let client = client_to(&url, allowed).await?;
    let timestamp = Timestamp::now().into_inner().unix_timestamp();
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", concat!("CrowNest/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", sign(secret, id, timestamp, &body))
        .body(body);
    // Whatever the receiver answers, only its status counts: nothing of the body is read.
    request.send().await.map(|answer| answer.status()).map_err(|error| {
        let what = unreached(&error);
        tracing::info!(id, what, ?error, "a webhook message was not delivered");
        what.to_owned()
    })
}

/// The reason in our own words: the receiver's owner reads it, and what libraries say is for the log.
fn unreached(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        return "no answer in time";
    }
    for cause in std::iter::successors(Some(error as &(dyn Error + 'static)), below) {
        match cause.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(_)) => {
                return "no connection: the certificate is not valid for this name";
            }
            Some(_) => return "no connection: the TLS handshake failed",
            None => {}
        }
        match cause.downcast_ref().map(io::Error::kind) {
            Some(ErrorKind::ConnectionRefused) => return "no connection: it was refused",
            Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe) => {
                return "no answer: the receiver closed the connection";
            }
            Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
                return "no connection: the host cannot be reached";
            }
            _ => {}
        }
    }
    if error.is_connect() { "no connection" } else { "no answer that is HTTP" }
}

/// The cause of an error. (`io::Error::source` skips the very error that it wraps.)
fn below<'e>(error: &&'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    let error: &'e (dyn Error + 'static) = *error;
    match error.downcast_ref::<io::Error>() {
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
        None => error.source(),
    }
}

/// Makes a client that connects only to the addresses that were checked, even if the name changes meanwhile.
async fn client_to(url: &Url, allowed: &[Network]) -> Result<Client, String> {
    // A provider may be installed already, which is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let mut client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(TIMEOUT);
    if url.domain().is_some() {
        let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((host.as_str(), port))).await;
        let found = found.map_err(|_| "the name could not be resolved in time".to_owned())?;
        let found = found.map_err(|error| {
            tracing::info!(%error, host, "cannot resolve the name of a webhook's receiver");
            "the name cannot be resolved".to_owned()
        })?;
        let open: Vec<SocketAddr> = found.filter(|address| may_reach(address.ip(), allowed)).collect();
        if open.is_empty() {
            return Err("the name does not resolve to a public address".to_owned());
        }
        client = client.resolve_to_addrs(&host, &open);
    }
    client.build().map_err(|error| {
        tracing::error!(?error, "cannot make a client for webhooks");
        "the message could not be sent".to_owned()
    })
}
