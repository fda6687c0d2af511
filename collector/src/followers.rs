//! Work that follows the seal, each at its own pace: the evidence log, the tables, retention, legal holds in the store,
//! and housekeeping. No follower holds up a run, and none knows another.

pub(crate) mod evidence_log;
pub mod lake;
pub(crate) mod retention;
pub(crate) mod store_holds;
pub(crate) mod sweep;
