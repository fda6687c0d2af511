//! The text of an Evidence Bundle: as it is stored, as commands write it, and as the API answers it.

use schemas::canonical;
use serde_json::Value;

/// No bundle is larger.
pub const MAX_BYTES: u64 = 64 << 20;

/// The bundle itself, without the wrappers that commands and the API add.
pub fn parse(text: &[u8]) -> Result<Value, String> {
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
