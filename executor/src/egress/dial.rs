//! From a name to a connection: policy, then addresses, then the connection to exactly an address that was checked, so
//! that a name cannot mean something else a moment later.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use infra::network::may_reach;
use schemas::egress::{EgressReason, Host};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::shared::Shared;

const RESOLVE_TIME: Duration = Duration::from_secs(10);
/// Time limit for each address.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Addresses of a name to try.
const ADDRESSES: usize = 4;

pub(super) async fn dial(shared: &Shared, host: &Host, port: u16) -> Result<TcpStream, EgressReason> {
    if !shared.policy.allows(host, port) {
        return Err(EgressReason::HostNotAllowed);
    }
    let found = match host {
        Host::Address(address) => vec![SocketAddr::new(*address, port)],
        Host::Name(name) => {
            let resolved = timeout(RESOLVE_TIME, resolve(shared, name.clone(), port)).await;
            resolved.ok().flatten().filter(|found| !found.is_empty()).ok_or(EgressReason::NameNotResolved)?
        }
    };
    let mut allowed = found.into_iter().filter(|address| may_reach(address.ip(), &shared.gateway.open)).peekable();
    if allowed.peek().is_none() {
        return Err(EgressReason::AddressNotAllowed);
    }
    for address in allowed.take(ADDRESSES) {
        if let Ok(Ok(stream)) = timeout(CONNECT_TIME, TcpStream::connect(address)).await {
            // Both ends decide for themselves what belongs together.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(EgressReason::Unreachable)
}

async fn resolve(shared: &Shared, name: String, port: u16) -> Option<Vec<SocketAddr>> {
    let permit = Semaphore::acquire_owned(Arc::clone(&shared.lookups)).await.ok()?;
    let resolve = Arc::clone(&shared.gateway.resolve);
    let looking = tokio::task::spawn_blocking(move || {
        let found = resolve(&name, port);
        drop(permit);
        found
    });
    looking.await.ok()?.ok()
}
