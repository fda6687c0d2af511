//! Private functions that read strangers' bytes, made public for the fuzz targets alone.
use std::collections::BTreeMap;

use schemas::env::EnvValues;

use crate::output::redact::Redaction;

/// The output of a command that prints `pieces`, without `secrets`.
pub fn redact(secrets: &[&str], pieces: &[&[u8]]) -> Vec<u8> {
    let name = |(number, secret): (usize, &&str)| (number.to_string(), (*secret).to_owned());
    let env = EnvValues::from(secrets.iter().enumerate().map(name).collect::<BTreeMap<_, _>>());
    Redaction::of(&env).map(|redaction| redaction.apply_to_pieces(pieces)).unwrap_or_default()
}
