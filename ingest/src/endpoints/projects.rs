//! `/v1/projects`

pub(crate) mod create;
pub(crate) mod list;
