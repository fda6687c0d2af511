//! The way out of this executor, for all of its runs.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use infra::network::Network;

/// Addresses of a name. It may block: it is called on a thread for that.
pub type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

#[derive(Clone)]
pub struct Gateway {
    pub(super) resolve: Arc<Resolve>,
    /// Networks that the operator opens beside the public internet.
    pub(super) open: Arc<[Network]>,
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
