//! The address of the API: the one that was asked for, else that of last time, else a free one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

const DEFAULT_PORT: u16 = 8080;

/// An address that was asked for is taken or the start fails; otherwise any free one will do.
pub(super) fn choose(asked: Option<SocketAddr>, data: &Path) -> SocketAddr {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
    asked.unwrap_or_else(|| {
        let candidates = [remembered(data), Some(default)];
        let free = |address: &SocketAddr| TcpListener::bind(address).is_ok();
        candidates.into_iter().flatten().find(free).unwrap_or(any)
    })
}

fn remembered(data: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(data.join("listen")).ok()?.trim().parse().ok()
}

pub(super) fn remember(data: &Path, address: SocketAddr) {
    if let Err(error) = std::fs::write(data.join("listen"), format!("{address}\n")) {
        tracing::warn!(%error, "cannot remember the address of the API for the next start");
    }
}
