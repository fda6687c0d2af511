//! `/v1/api-keys`

pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod revoke;
