//! Evidence Bundles in files: as `--output` and `--json` write them, as they are stored, and as the API answers them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use schemas::canonical;
use serde_json::Value;

use crate::failure::Failure;

/// More than any bundle has.
const MAX_BYTES: u64 = 64 << 20;

/// No more of it than [`parse`] accepts.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    parse(&bytes(path)?).map_err(|message| Failure::new("invalid_evidence", format!("{}: {message}", path.display())))
}

/// The bundle itself, without what it may be wrapped into.
pub(crate) fn parse(text: &[u8]) -> Result<Value, String> {
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("expected an Evidence Bundle of at most {MAX_BYTES} bytes"));
    }
    let mut value =
        canonical::from_slice(text).map_err(|error| format!("expected an Evidence Bundle in JSON: {error}"))?;
    for wrapper in ["data", "evidence"] {
        if let Some(inner @ Value::Object(_)) = value.get_mut(wrapper).map(Value::take) {
            return Ok(inner);
        }
    }
    Ok(value)
}
