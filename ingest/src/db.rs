//! The tables of ingest, one module each, and the functions of other services, by which alone their tables are reached.

pub(crate) mod api_keys;
pub(crate) mod archives;
pub(crate) mod collector;
pub(crate) mod egress_policies;
pub(crate) mod idempotency;
pub(crate) mod legal_holds;
pub(crate) mod metering;
pub(crate) mod organizations;
pub(crate) mod page;
pub(crate) mod projects;
pub(crate) mod retention;
pub(crate) mod run_env;
pub(crate) mod runs;
pub(crate) mod templates;
pub(crate) mod uploads;
pub(crate) mod webhooks;
