//! One connection of a run to its proxy: one request, read with limits by hyper, then a tunnel or a forwarded answer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::uri::{Authority, Scheme};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use schemas::egress::{EgressReason, Host};
use tokio::net::TcpStream;

use super::counted::{Counted, Traffic};
use super::dial::dial;
use super::forward::Forward;
use super::ledger::Visit;
use super::shared::Shared;
use super::tunnel::Tunnel;

const HEAD_TIME: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 32 * 1024;
const HEADERS: usize = 100;
/// A connection on which nothing moves for this long is closed.
const IDLE: Duration = Duration::from_secs(300);

pub(super) type Body = Either<Full<Bytes>, Incoming>;

/// The work that follows the answer to a request.
#[derive(Debug, Default)]
enum Sequel {
    #[default]
    Nothing,
    Tunnel(Tunnel),
    /// Kept until the answer has been passed on.
    Forward {
        _forward: Forward,
    },
}

pub(super) async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let traffic = Arc::new(Traffic::default());
    let client = Counted::new(client, Arc::clone(&traffic));
    tokio::select! {
        () = exchange(client, &shared) => {}
        () = traffic.stalled(IDLE) => {}
    }
}

async fn exchange(client: Counted, shared: &Arc<Shared>) {
    let sequel = Arc::new(Mutex::new(Sequel::Nothing));
    let service = service_fn(|request| {
        let (shared, sequel) = (Arc::clone(shared), Arc::clone(&sequel));
        async move {
            let (response, next) = answer(request, &shared).await;
            *sequel.lock().unwrap_or_else(PoisonError::into_inner) = next;
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        // Who says all that it has to say is still waiting for the answer.
        .half_close(true)
        // One request each: what is forwarded has one destination, and nothing waits for a second one.
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await;
    // Garbage, a client that went away, a head that was too long or too slow: none is news.
    if served.is_err() {
        return;
    }
    let sequel = std::mem::take(&mut *sequel.lock().unwrap_or_else(PoisonError::into_inner));
    if let Sequel::Tunnel(tunnel) = sequel {
        tunnel.run().await;
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> (Response<Body>, Sequel) {
    let tunnels = request.method() == Method::CONNECT;
    let (host, port) = match target(&request, tunnels) {
        Ok(target) => target,
        Err(expected) => {
            let text = format!("crownest: this is the HTTP proxy of a sandboxed run: {expected}\n");
            return (refusal(StatusCode::BAD_REQUEST, text), Sequel::Nothing);
        }
    };
    let mut visit = Visit::new(&shared.ledger, host, port);
    let upstream = match dial(shared, visit.host(), port).await {
        Ok(stream) => Counted::new(stream, Arc::clone(&visit.traffic)),
        Err(reason) => {
            visit.failed(reason);
            return (failure(shared, &visit, reason), Sequel::Nothing);
        }
    };
    if tunnels {
        let tunnel = Tunnel { client: hyper::upgrade::on(request), upstream, visit };
        return (Response::new(Either::Left(Full::default())), Sequel::Tunnel(tunnel));
    }
    match Forward::send(request, upstream, visit).await {
        Ok((response, forward)) => (response.map(Either::Right), Sequel::Forward { _forward: forward }),
        Err(mut visit) => {
            visit.failed(EgressReason::Unreachable);
            (failure(shared, &visit, EgressReason::Unreachable), Sequel::Nothing)
        }
    }
}

/// The destination of the request, or a text that says what was expected.
fn target(request: &Request<Incoming>, tunnels: bool) -> Result<(Host, u16), &'static str> {
    const HOST: &str = "expected a host name or an address";
    let uri = request.uri();
    let plain = uri.scheme() == Some(&Scheme::HTTP);
    let authority: &Authority = match uri.authority() {
        Some(authority) if tunnels || plain => authority,
        _ => return Err("expected CONNECT host:port, or a URL that begins with http://"),
    };
    // Credentials belong into a header.
    if authority.as_str().contains('@') {
        return Err(HOST);
    }
    let host = authority.host().parse().map_err(|_| HOST)?;
    match (authority.port_u16(), tunnels) {
        (Some(port), _) if port != 0 => Ok((host, port)),
        (None, false) if !authority.as_str().ends_with(':') => Ok((host, 80)),
        _ => Err("expected a port"),
    }
}

fn failure(shared: &Shared, visit: &Visit, reason: EgressReason) -> Response<Body> {
    let (status, why) = match reason {
        EgressReason::HostNotAllowed => (StatusCode::FORBIDDEN, "the egress policy of the project does not allow it"),
        EgressReason::AddressNotAllowed | EgressReason::ServerNameMismatch => {
            (StatusCode::FORBIDDEN, "it has no address that a run may reach")
        }
        EgressReason::NameNotResolved => (StatusCode::BAD_GATEWAY, "its name cannot be resolved"),
        EgressReason::Unreachable => (StatusCode::BAD_GATEWAY, "it does not answer"),
    };
    let allowed = if reason == EgressReason::HostNotAllowed {
        let rules: Vec<String> = shared.policy.allow.iter().map(ToString::to_string).collect();
        format!("Allowed: {}. The operator can add to it.\n", rules.join(", "))
    } else {
        String::new()
    };
    let text = format!("crownest: {}:{} cannot be reached: {why}.\n{allowed}", visit.host(), visit.port());
    let mut response = refusal(status, text);
    response.headers_mut().insert("x-crownest-egress", HeaderValue::from_static(reason.as_str()));
    response
}

fn refusal(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
