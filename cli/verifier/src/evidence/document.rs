//! The text of an Evidence Bundle: as it is stored, as commands write it, and as the API answers it.

use schemas::canonical;
use serde_json::Value;

/// The API's answer, and the line of a command with `--json`.
const WRAPPERS: [&str; 2] = ["data", "evidence"];
/// No bundle is larger.
pub const MAX_BYTES: u64 = 64 << 20;

/// The bundle itself, without the wrappers that commands and the API add.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("expected an Evidence Bundle of at most {MAX_BYTES} bytes"));
    }
    let value = canonical::from_slice(text).map_err(|error| format!("expected an Evidence Bundle in JSON: {error}"))?;
    let Value::Object(mut members) = value else { return Err("expected an Evidence Bundle, a JSON object".to_owned()) };
    let Some(wrapper) = WRAPPERS.into_iter().find(|wrapper| members.get(*wrapper).is_some_and(Value::is_object)) else {
        return Ok(Value::Object(members));
    };
    let inner = members.remove(wrapper).unwrap_or_default();
    // Whoever reads the file would take what stands beside the bundle for a part of it.
    match members.keys().next() {
        None => Ok(inner),
        Some(other) => Err(format!("expected nothing beside the bundle in `{wrapper}`, found the member {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bundle_alone_is_taken_out_of_its_wrapper() {
        for text in [r#"{"workspaceRunId":"wsr_1"}"#, r#"{"data":{"workspaceRunId":"wsr_1"}}"#] {
            assert_eq!(parse(text.as_bytes()).unwrap()["workspaceRunId"], "wsr_1", "{text}");
        }
        for text in [
            r#"{"exitCode":0,"evidence":{"workspaceRunId":"wsr_1"}}"#,
            r#"{"evidence":{"workspaceRunId":"wsr_1"},"data":{"workspaceRunId":"wsr_2"}}"#,
            r#"{"data":{"workspaceRunId":"wsr_1"},"hasMore":false}"#,
            r#"[{"workspaceRunId":"wsr_1"}]"#,
        ] {
            assert!(parse(text.as_bytes()).unwrap_err().starts_with("expected "), "{text}");
        }
    }
}
