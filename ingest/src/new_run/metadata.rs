//! The limits of `metadata` and `sourceMetadata`.

use std::collections::BTreeMap;

use schemas::limits::{METADATA_BYTES, METADATA_KEY_CHARS, METADATA_KEYS, METADATA_VALUE_CHARS};
use serde_json::{Map, Value};

use crate::http::error::{ApiError, Code};

/// Checks one of the members of a request; a missing member is empty.
pub(crate) fn check(member: &str, value: Option<&Value>) -> Result<BTreeMap<String, String>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(pairs)) => check_pairs(member, pairs),
        Some(_) => Err(ApiError::invalid(format!("{member}: expected an object with strings as values."))),
    }
}

fn check_pairs(member: &str, pairs: &Map<String, Value>) -> Result<BTreeMap<String, String>, ApiError> {
    if pairs.len() > METADATA_KEYS {
        let message = format!("{member}: expected at most {METADATA_KEYS} keys, got {}.", pairs.len());
        return Err(ApiError::new(Code::MetadataTooManyKeys, message));
    }
    let mut checked = BTreeMap::new();
    for (key, value) in pairs {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !(1..=METADATA_KEY_CHARS).contains(&key.len()) || !key.bytes().all(allowed) {
            let shown: String = key.chars().take(80).collect();
            let message = format!(
                "{member}: expected keys of 1 to {METADATA_KEY_CHARS} characters of A-Z a-z 0-9 _ . -, got `{shown}`."
            );
            return Err(ApiError::new(Code::InvalidMetadataKey, message));
        }
        let text = value.as_str().filter(|text| text.chars().count() <= METADATA_VALUE_CHARS && !text.contains('\0'));
        let text = text.ok_or_else(|| {
            let message =
                format!("{member}.{key}: expected a string of at most {METADATA_VALUE_CHARS} characters without NUL.");
            ApiError::new(Code::InvalidMetadataValue, message)
        })?;
        checked.insert(key.clone(), text.to_owned());
    }
    let total: usize = checked.iter().map(|(key, value)| key.len() + value.len()).sum();
    if total > METADATA_BYTES {
        let message = format!("{member}: expected at most {METADATA_BYTES} bytes in all, got {total}.");
        return Err(ApiError::new(Code::MetadataTooLarge, message));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(value: &Value) -> Option<Code> {
        match check("metadata", Some(value)) {
            Ok(_) => None,
            Err(ApiError::Refused { code, .. }) => Some(code),
            Err(ApiError::Internal(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn each_limit_has_its_code() {
        let many = |count: usize, value: &str| (0..count).map(|n| (format!("k{n}"), json!(value))).collect::<Value>();
        for (value, expected) in [
            (json!({"build.id_1-x": "ü".repeat(500)}), None),
            (json!({}), None),
            (many(50, "x"), None),
            (many(51, "x"), Some(Code::MetadataTooManyKeys)),
            (json!({"": "x"}), Some(Code::InvalidMetadataKey)),
            (json!({"a b": "x"}), Some(Code::InvalidMetadataKey)),
            (json!({"k".repeat(41): "x"}), Some(Code::InvalidMetadataKey)),
            (json!({"k": "x".repeat(501)}), Some(Code::InvalidMetadataValue)),
            (json!({"k": "a\u{0}b"}), Some(Code::InvalidMetadataValue)),
            (json!({"k": 1}), Some(Code::InvalidMetadataValue)),
            (many(40, &"x".repeat(500)), Some(Code::MetadataTooLarge)),
            (json!([]), Some(Code::InvalidRequest)),
        ] {
            assert_eq!(code(&value), expected, "{value}");
        }
    }
}
