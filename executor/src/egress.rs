//! Network egress of runs: an HTTP proxy on a socket that lives in the run's network namespace, served from outside of
//! it. It resolves names itself, connects to addresses that it has checked, and writes down what was asked of it. What
//! it does not do: look into TLS, beyond the server name that is sent in the clear.

mod counted;
mod dial;
mod exchange;
mod forward;
mod gateway;
mod ledger;
mod proxy;
mod shared;
mod tunnel;

pub use gateway::{Gateway, Resolve};
pub use proxy::Proxy;
