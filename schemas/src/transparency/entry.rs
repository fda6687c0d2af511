//! Entries of the log, one for each run, and their stored bundles (C2SP tlog-tiles): each entry follows its length in
//! two bytes, big-endian.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::tile::Tile;
use crate::Timestamp;
use crate::canonical::{self, CanonicalError};
use crate::id::RunId;

/// The log writes no longer entry.
pub const MAX_ENTRY_BYTES: usize = 4096;
/// Bytes of the largest bundle.
pub const MAX_BUNDLE_BYTES: usize = 256 * (2 + MAX_ENTRY_BYTES);

/// Digests only: a stranger learns that some run was sealed, and when; whoever has the run's id or bundle can find the
/// entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Digest of the DSSE payload, which another key would sign unchanged. Absent if the bundle was sealed without an
    /// attestation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation_sha256: Option<String>,
    /// Digest of `evidence.json`.
    pub evidence_sha256: String,
    /// Digest of the run's id; see [`run_digest`].
    pub run_sha256: String,
    /// `timing.sealedAt` of the bundle.
    pub sealed_at: Timestamp,
    /// Members of later versions, which are hashed, too.
    #[serde(flatten)]
    #[schemars(skip)]
    pub others: BTreeMap<String, Value>,
}

/// The name of a run in its entry. Ids have 80 random bits, too many to guess.
pub fn run_digest(run: &RunId) -> String {
    hex::encode(Sha256::digest(run.as_str()))
}

impl Entry {
    /// The entry's bytes in the log.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_vec(self)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a bundle of {expected} entries of at most {MAX_ENTRY_BYTES} bytes, each with its length in two bytes"
)]
pub struct InvalidBundle {
    expected: usize,
}

pub fn write_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bundle = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).ok().filter(|_| entry.len() <= MAX_ENTRY_BYTES)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Some(bundle)
}

/// The entries of this tile's bundle, or of its part of the full bundle that replaced it.
pub fn read_bundle(tile: Tile, mut bundle: &[u8]) -> Result<Vec<&[u8]>, InvalidBundle> {
    let invalid = InvalidBundle { expected: tile.width() };
    let mut entries = Vec::with_capacity(tile.width());
    while !bundle.is_empty() {
        let split = bundle.split_first_chunk::<2>().and_then(|(length, rest)| {
            let length = usize::from(u16::from_be_bytes(*length));
            rest.split_at_checked(length).filter(|_| length <= MAX_ENTRY_BYTES)
        });
        let (entry, rest) = split.ok_or_else(|| invalid.clone())?;
        entries.push(entry);
        bundle = rest;
    }
    if entries.len() != tile.width() && entries.len() != tile.filled().width() {
        return Err(invalid);
    }
    entries.truncate(tile.width());
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_canonical_and_names_nobody() {
        let entry = Entry {
            attestation_sha256: Some("a".repeat(64)),
            evidence_sha256: "e".repeat(64),
            run_sha256: run_digest(&"wsr_01JABCDEFGHJKMNPQRSTVWXYZ0".parse().unwrap()),
            sealed_at: "2026-01-31T12:00:00.123Z".parse().unwrap(),
            others: BTreeMap::new(),
        };
        let text = String::from_utf8(entry.to_bytes().unwrap()).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"attestationSha256\":\"{}\",\"evidenceSha256\":\"{}\",\"runSha256\":\"{}\",\"sealedAt\":\"2026-01-31T12:00:00.123Z\"}}",
                "a".repeat(64),
                "e".repeat(64),
                "ce51c2c183c9fc0e65173c3e3f15021419ce6f958c92cb805e21dce4647cd82a",
            )
        );
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
        let without = Entry { attestation_sha256: None, ..entry };
        assert!(without.to_bytes().unwrap().starts_with(b"{\"evidenceSha256\""));
    }

    #[test]
    fn bundles_are_read_as_they_are_written_and_nothing_else() {
        let (tile, small) = (Tile::in_tree(0, 0, 3).unwrap(), Tile::in_tree(0, 0, 2).unwrap());
        let entries: [&[u8]; 3] = [b"one", b"", b"three"];
        let bundle = write_bundle(entries).unwrap();
        assert_eq!(bundle, b"\0\x03one\0\0\0\x05three");
        assert_eq!(read_bundle(tile, &bundle).unwrap(), entries);
        assert!(read_bundle(small, &bundle).is_err());
        let full = write_bundle(std::iter::repeat_n(&b"x"[..], 256)).unwrap();
        assert_eq!(read_bundle(small, &full).unwrap(), [b"x", b"x"], "the full bundle stands in for the partial one");
        for cut in 1..bundle.len() {
            assert!(read_bundle(tile, &bundle[..cut]).is_err(), "{cut}");
        }
        let long = vec![0; MAX_ENTRY_BYTES + 1];
        assert!(write_bundle([&long[..]]).is_none());
        assert!(read_bundle(Tile::in_tree(0, 0, 1).unwrap(), &[&[0x10, 1][..], &long].concat()).is_err());
    }
}
