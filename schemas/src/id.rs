//! Prefixed identifiers: one newtype for each kind, so that a project is never passed where a run is meant.
//! A suffix is 26 characters of Crockford base 32: 48 bits of milliseconds, then 80 random bits (the layout of a ULID).

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_LEN: usize = 26;
/// Longest suffix accepted from outside; identifiers are opaque to clients, so other generations may differ.
const MAX_SUFFIX_LEN: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an identifier like `{prefix}_01hzy…`, got `{got}`")]
pub struct InvalidId {
    pub prefix: &'static str,
    pub got: String,
}

fn new_suffix() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis());
    let mut random = [0u8; 16];
    // Without entropy no secret or identifier of this process can be trusted: stopping is the only safe answer.
    getrandom::fill(&mut random).expect("the operating system provides randomness");
    let value = (millis << 80) | (u128::from_be_bytes(random) >> 48);
    (0..SUFFIX_LEN).rev().map(|digit| char::from(ALPHABET[(value >> (5 * digit)) as usize & 31])).collect()
}

fn parse(prefix: &'static str, text: &str) -> Result<(), InvalidId> {
    let valid = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).is_some_and(|suffix| {
        (1..=MAX_SUFFIX_LEN).contains(&suffix.len()) && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if valid {
        return Ok(());
    }
    Err(InvalidId { prefix, got: text.chars().take(80).collect() })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String", extend("pattern" = concat!("^", $prefix, "_[0-9A-Za-z]{1,64}$")))]
        pub struct $name(String);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier, unique without coordination.
            #[expect(clippy::new_without_default, reason = "a fresh identifier is not a default value")]
            pub fn new() -> Self {
                Self(format!("{}_{}", $prefix, new_suffix()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse($prefix, text).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                parse($prefix, &text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

ids! {
    /// An organization: the tenant that owns everything below it.
    OrgId = "org";
    ProjectId = "prj";
    ApiKeyId = "key";
    UserId = "usr";
    /// A workspace run.
    RunId = "wsr";
    /// The command of one attempt of a run.
    CommandId = "cmd";
    /// The sandbox of one attempt of a run.
    SandboxId = "sbx";
    ArtifactId = "art";
    /// A staged archive upload.
    UploadId = "upl";
    /// A label of runs that belong together, chosen by the client.
    BatchId = "bat";
    WebhookId = "whk";
    /// A message to a webhook.
    DeliveryId = "whd";
    TemplateId = "tpl";
    TemplateVersionId = "tplv";
    /// One running executor process.
    ExecutorId = "exe";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_identifiers_parse_and_sort_by_time() {
        let first = RunId::new();
        assert_eq!(first.as_str().len(), 4 + SUFFIX_LEN);
        assert_eq!(first.as_str().parse::<RunId>(), Ok(first.clone()));
        assert_ne!(first, RunId::new());
    }

    #[test]
    fn foreign_text_is_refused() {
        for text in ["", "wsr", "wsr_", "prj_abc", "wsr_a/b", "wsr_a b", "wsr_é", &format!("wsr_{}", "a".repeat(65))] {
            assert!(text.parse::<RunId>().is_err(), "{text:?}");
        }
        assert!("wsr_abc123".parse::<RunId>().is_ok());
    }
}
