//! Environment variables of a run: allowed names, values that do not print, and the context that binds their ciphertext
//! to the run. `infra::keyring` encrypts them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{OrgId, RunId};
use crate::limits::ENV_NAME_CHARS;

/// Names that describe the sandbox itself, besides `CROWNEST` and everything that begins with `CROWNEST_`. Other
/// variables of the sandbox (`PATH`, `LANG`, `CI`) are defaults, which a run may replace.
pub const RESERVED: [&str; 5] = ["HOME", "LOGNAME", "SHELL", "TMPDIR", "USER"];

pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name == "CROWNEST" || name.starts_with("CROWNEST_")
}

/// True for a name that every shell can use: `[A-Za-z_][A-Za-z0-9_]*`, of at most [`ENV_NAME_CHARS`].
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=ENV_NAME_CHARS).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Names with their values, sorted by name. `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnvValues(BTreeMap<String, String>);

impl EnvValues {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Names and values in the clear, for the few places that need them.
    pub fn reveal(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl From<BTreeMap<String, String>> for EnvValues {
    fn from(values: BTreeMap<String, String>) -> Self {
        Self(values)
    }
}

impl fmt::Debug for EnvValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Associated data of the ciphertext, which opens for this run of this organization only.
pub fn sealing_context(org: &OrgId, run: &RunId) -> Vec<u8> {
    // No identifier contains a NUL.
    format!("crownest.env.v1\0{org}\0{run}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, valid, reserved) in [
            ("A", true, false),
            ("_", true, false),
            ("npm_config_registry", true, false),
            ("PATH", true, false),
            ("LANG", true, false),
            ("CI", true, false),
            ("LD_PRELOAD", true, false),
            ("HOME", true, true),
            ("TMPDIR", true, true),
            ("USER", true, true),
            ("home", true, false),
            ("CROWNEST", true, true),
            ("CROWNEST_", true, true),
            ("CROWNEST_RUN_ID", true, true),
            ("CROWNESTS", true, false),
            ("", false, false),
            ("1A", false, false),
            ("A-B", false, false),
            ("A=B", false, false),
            ("A B", false, false),
            ("É", false, false),
            ("A\0", false, false),
        ] {
            assert_eq!((is_name(name), is_reserved(name)), (valid, reserved), "{name:?}");
        }
        assert!(is_name(&"A".repeat(ENV_NAME_CHARS)) && !is_name(&"A".repeat(ENV_NAME_CHARS + 1)));
    }

    #[test]
    fn values_do_not_print() {
        let values = EnvValues::from(BTreeMap::from([("TOKEN".to_owned(), "hunter22".to_owned())]));
        assert_eq!(format!("{values:?}"), r#"{"TOKEN"}"#);
    }
}
