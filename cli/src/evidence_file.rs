//! Evidence Bundles in files: as `--output` and `--json` write them, as they are stored, and as the API answers them.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use verifier::evidence::document;

use crate::failure::Failure;
use crate::regular_file;

/// No more of the file than a bundle may have.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let mut bytes = Vec::new();
    regular_file::open(path).map_err(failed)?.take(document::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    let invalid = |message| Failure::new("invalid_evidence", format!("{}: {message}", path.display()));
    document::parse(&bytes(path)?).map_err(invalid)
}
