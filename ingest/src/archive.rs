//! Archives on their way in: what the client declares, and the stream that must prove it.

mod declared;
mod receive;
mod staging;

pub(crate) use declared::Declared;
pub(crate) use receive::{Receiver, Storing, discard};

use schemas::id::OrgId;

/// Content-addressed for each organization.
pub(crate) fn object_key(org: &OrgId, sha256: &str) -> String {
    format!("archives/{org}/{sha256}.tgz")
}

pub(crate) const CONTENT_TYPE: &str = "application/gzip";
