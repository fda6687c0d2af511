//! `/v1/projects`

pub(super) mod create;
pub(super) mod list;
