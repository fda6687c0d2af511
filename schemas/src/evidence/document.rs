//! A bundle as it was read, with every member: those that this version does not know were sealed, too.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{EvidenceBundle, SCHEMA_VERSION};
use crate::canonical::{self, CanonicalError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The members that this version understands.
    pub bundle: EvidenceBundle,
    canonical: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("expected an Evidence Bundle in JSON: {0}")]
    Json(serde_json::Error),
    #[error("expected an Evidence Bundle of version 1, got `{0}`")]
    Version(String),
    #[error("the document has no canonical form: {0}")]
    Canonical(#[from] CanonicalError),
    #[error("expected the members of an Evidence Bundle: {0}")]
    Shape(serde_json::Error),
    /// The document is not at fault.
    #[error("version {version} has members that this program does not know ({error}): take a newer one")]
    Later { version: String, error: serde_json::Error },
}

impl Document {
    pub fn parse(json: &[u8]) -> Result<Self, DocumentError> {
        Self::of(canonical::from_slice(json).map_err(DocumentError::Json)?)
    }

    pub fn of(value: Value) -> Result<Self, DocumentError> {
        let version: String = value["schemaVersion"].as_str().unwrap_or_default().chars().take(40).collect();
        let Some(found) = minor(&version) else { return Err(DocumentError::Version(version)) };
        let canonical = canonical::to_vec(&value)?;
        let bundle = serde_json::from_value(value).map_err(|error| {
            let is_later = Some(found) > minor(SCHEMA_VERSION);
            if is_later { DocumentError::Later { version, error } } else { DocumentError::Shape(error) }
        })?;
        Ok(Self { bundle, canonical })
    }

    /// The sealed bytes, whatever form the document was read in.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.canonical))
    }
}

/// Minor version of major version 1, the only one so far.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}
