//! `/v1/api-keys`

pub(super) mod get;
pub(super) mod list;
pub(super) mod revoke;
