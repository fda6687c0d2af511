//! Archives on their way in: what the client declares, and the stream that must prove it.

mod declared;
mod pace;
mod receive;
mod staging;

pub(crate) use declared::Declared;
pub(crate) use receive::{Receiver, Storing, discard};

use schemas::id::{OrgId, UploadId};
use schemas::layout;

/// Key of a verified archive: content-addressed within its organization.
pub(crate) fn object_key(org: &OrgId, sha256: &str) -> String {
    layout::archive(org, sha256)
}

/// Key of an archive that a client puts straight into the store, before it is verified.
pub(crate) fn staging_key(org: &OrgId, upload: &UploadId) -> String {
    format!("uploads/{org}/{upload}")
}

pub(crate) const CONTENT_TYPE: &str = "application/gzip";
