//! Idempotency keys: one for each mutating request, derived from the user's one where a command makes several requests.

use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The contract's limit, in characters.
const MAX_LEN: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A key that nobody has used.
    pub(crate) fn generate() -> Self {
        let mut random = [0u8; 16];
        // Two requests with one key would be taken for one: without randomness stopping is the only safe answer.
        getrandom::fill(&mut random).expect("the operating system provides randomness");
        Self(format!("cli-{}", hex::encode(random)))
    }

    /// The key of one step, the same whenever the command is repeated with the same key.
    pub(crate) fn step(&self, name: &str) -> Self {
        let key = format!("{}.{name}", self.0);
        if key.len() <= MAX_LEN {
            return Self(key);
        }
        Self(format!("{}.{name}", hex::encode(Sha256::digest(&self.0))))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("expected 1 to {MAX_LEN} printable ASCII characters without spaces"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_stable_distinct_and_short_enough() {
        let key: IdempotencyKey = "build-7".parse().unwrap();
        assert_eq!(key.step("create").as_str(), "build-7.create");
        let long: IdempotencyKey = "k".repeat(255).parse().unwrap();
        assert!(long.step("create").as_str().len() <= MAX_LEN);
        assert_eq!(long.step("create"), long.step("create"));
        assert_ne!(long.step("create"), long.step("start"));
        assert_ne!(IdempotencyKey::generate(), IdempotencyKey::generate());
    }

    #[test]
    fn what_no_header_can_carry_is_refused() {
        for text in ["", "a b", "é", "a\n", &"k".repeat(256)] {
            assert!(text.parse::<IdempotencyKey>().is_err(), "{text:?}");
        }
    }
}
