//! The routes of the API, one file each.

pub(crate) mod api_keys;
pub(crate) mod artifacts;
pub(crate) mod evidence_log;
pub(crate) mod jwks;
pub(crate) mod projects;
pub(crate) mod runs;
pub(crate) mod templates;
pub(crate) mod usage;
pub(crate) mod webhooks;
