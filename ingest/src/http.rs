//! HTTP plumbing: connections, middleware, the parts of a request, and answers that are errors or bytes.

pub(crate) mod at_once;
pub(crate) mod body;
pub(crate) mod budget;
pub(crate) mod byte_range;
pub(crate) mod content_disposition;
pub(crate) mod download;
pub(crate) mod error;
pub(crate) mod listener;
pub(crate) mod observe;
pub(crate) mod path_id;
pub(crate) mod public_url;
pub(crate) mod query;
mod stalls;
