//! Authentication: API keys, the caller behind each, and the middleware that finds the caller of a request.

mod caller;
mod callers;
mod key;
mod last_used;
mod middleware;

pub(crate) use caller::Caller;
pub(crate) use callers::Callers;
pub(crate) use key::generate;
pub(crate) use last_used::LastUsed;
pub(crate) use middleware::authenticate;
