//! The limits of `env`, checked before anything else sees the values, which no message of ours includes.

use std::collections::BTreeMap;

use schemas::env::{EnvValues, is_name, is_reserved};
use schemas::limits::{ENV_BYTES, ENV_NAME_CHARS, ENV_VALUE_BYTES, ENV_VARIABLES};
use serde_json::Value;

use crate::http::error::{ApiError, Code};

/// Checks the member of a request; a missing member is empty.
pub(crate) fn check(value: Option<&Value>) -> Result<EnvValues, ApiError> {
    let variables = match value {
        None | Some(Value::Null) => return Ok(EnvValues::default()),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(ApiError::invalid("env: expected an object with strings as values.")),
    };
    if variables.len() > ENV_VARIABLES {
        let message = format!("env: expected at most {ENV_VARIABLES} variables, got {}.", variables.len());
        return Err(ApiError::invalid(message));
    }
    let mut checked = BTreeMap::new();
    for (name, value) in variables {
        check_name(name)?;
        let text = value.as_str().filter(|text| text.len() <= ENV_VALUE_BYTES && !text.contains('\0'));
        let text = text.ok_or_else(|| {
            ApiError::invalid(format!("env.{name}: expected a string of at most {ENV_VALUE_BYTES} bytes without NUL."))
        })?;
        checked.insert(name.clone(), text.to_owned());
    }
    let total: usize = checked.iter().map(|(name, value)| name.len() + value.len()).sum();
    if total > ENV_BYTES {
        let message = format!("env: expected at most {ENV_BYTES} bytes of names and values in all, got {total}.");
        return Err(ApiError::invalid(message));
    }
    Ok(checked.into())
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if !is_name(name) {
        let shown: String = name.chars().take(80).collect();
        return Err(ApiError::invalid(format!(
            "env: expected names of 1 to {ENV_NAME_CHARS} characters of A-Z a-z 0-9 _ that do not start with a digit, got `{shown}`."
        )));
    }
    if is_reserved(name) {
        let message = format!(
            "env.{name}: this name is reserved. CROWNEST_*, HOME, LOGNAME, SHELL, TMPDIR and USER are the sandbox's own."
        );
        return Err(ApiError::new(Code::ReservedEnvKey, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_limit_is_inclusive_and_no_message_has_a_value() {
        let many =
            |count: usize, value: &str| (0..count).map(|n| (format!("K{n:02}"), json!(value))).collect::<Value>();
        let canary = "canary-value";
        for (value, expected) in [
            (json!(null), None),
            (json!({}), None),
            (json!({"A": "", "PATH": "/x", "LANG": "C", "CI": "false", "LD_PRELOAD": "x"}), None),
            (json!({"A".repeat(128): canary}), None),
            (json!({"A".repeat(129): canary}), Some(Code::InvalidRequest)),
            (many(100, canary), None),
            (many(101, canary), Some(Code::InvalidRequest)),
            (json!({"A": "x".repeat(32 * 1024)}), None),
            (json!({"A": canary.repeat(32 * 1024)}), Some(Code::InvalidRequest)),
            (many(2, &"x".repeat(32 * 1024 - 3)), None),
            (many(2, &"x".repeat(32 * 1024 - 2)), Some(Code::InvalidRequest)),
            (json!({"A": format!("{canary}\0")}), Some(Code::InvalidRequest)),
            (json!({"A": [canary]}), Some(Code::InvalidRequest)),
            (json!({"A": 5}), Some(Code::InvalidRequest)),
            (json!({"A": null}), Some(Code::InvalidRequest)),
            (json!(canary), Some(Code::InvalidRequest)),
            (json!([canary]), Some(Code::InvalidRequest)),
            (json!({"": canary}), Some(Code::InvalidRequest)),
            (json!({"A-B": canary}), Some(Code::InvalidRequest)),
            (json!({"HOME": canary}), Some(Code::ReservedEnvKey)),
            (json!({"CROWNEST_RUN_ID": canary}), Some(Code::ReservedEnvKey)),
        ] {
            match check(Some(&value)) {
                Ok(_) => assert_eq!(expected, None, "{value}"),
                Err(ApiError::Refused { code, message, .. }) => {
                    assert_eq!(Some(code), expected, "{message}");
                    assert!(!message.contains(canary), "{message}");
                }
                Err(ApiError::Internal(error)) => panic!("{error}"),
            }
        }
    }
}
