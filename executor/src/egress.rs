//! Network egress of runs: an HTTP proxy on a socket that lives in the run's network namespace, served from outside of
//! it. It resolves names itself, connects to addresses that it has checked, and writes down what was asked of it. What
//! it does not do: look into TLS, beyond the server name that is sent in the clear.

mod counted;
mod dial;
mod exchange;
mod forward;
mod ledger;
mod proxy;
mod tunnel;

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use infra::network::Network;

pub use proxy::Proxy;

/// Addresses of a name. It may block: it is called on a thread for that.
pub type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The way out of this executor, for all of its runs.
#[derive(Clone)]
pub struct Gateway {
    resolve: Arc<Resolve>,
    /// What the operator opens beside the public internet.
    open: Arc<[Network]>,
}

impl Gateway {
    pub fn new(open: &[Network]) -> Self {
        let resolve = |name: &str, port| Ok((name, port).to_socket_addrs()?.collect());
        Self { resolve: Arc::new(resolve), open: open.into() }
    }

    #[must_use]
    pub fn with_resolver(self, resolve: Arc<Resolve>) -> Self {
        Self { resolve, ..self }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("open", &self.open).finish_non_exhaustive()
    }
}
