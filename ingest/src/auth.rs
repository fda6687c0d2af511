//! Who asks: API keys, the principal behind each, and the check that every route of `/v1` passes first.

mod caller;
mod key;
mod last_used;
mod middleware;
mod principals;

pub(crate) use caller::Caller;
pub(crate) use key::generate;
pub(crate) use last_used::LastUsed;
pub(crate) use middleware::authenticate;
pub(crate) use principals::Principals;
