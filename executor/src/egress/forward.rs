//! A request without encryption, passed on to the server that its URL names, with the headers that are meant for it.

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use super::counted::Counted;
use super::ledger::Visit;

/// The connection to the server. The answer's body comes through it, so it is kept until that has been passed on.
#[derive(Debug)]
pub(super) struct Forward {
    _connection: AbortOnDropHandle<()>,
    _visit: Visit,
}

impl Forward {
    /// Gives the visit back if there was no answer.
    pub(super) async fn send(
        request: Request<Incoming>,
        upstream: Counted,
        visit: Visit,
    ) -> Result<(Response<Incoming>, Self), Visit> {
        let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(upstream)).await else { return Err(visit) };
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let Some(request) = rewritten(request) else { return Err(visit) };
        let Ok(mut response) = sender.send_request(request).await else { return Err(visit) };
        remove_hop_by_hop(response.headers_mut());
        Ok((response, Self { _connection: connection, _visit: visit }))
    }
}

/// Rewrites a proxy request into a request to the server itself. The Host header names the host that was checked, whatever the run wrote there.
fn rewritten(mut request: Request<Incoming>) -> Option<Request<Incoming>> {
    let host = HeaderValue::from_str(request.uri().authority()?.as_str()).ok()?;
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
    headers.remove(EXPECT);
    headers.insert(HOST, host);
    Some(request)
}

/// Removes hop-by-hop headers (RFC 9110, 7.6.1). hyper writes its own where they are needed.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    let always = [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    for name in always {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}
