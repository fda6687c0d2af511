//! The texts that are searched for because of one value.

use std::collections::BTreeSet;

use super::encoded::{encoded, escaped};

/// Shorter texts are part of too many harmless words: output without every `true` or `8080` helps nobody.
const MIN_BYTES: usize = 6;
/// Longer texts are looked for in pieces: little is held back, a search never goes back far, whatever strangers choose
/// as their secrets, and of a long secret a part is found, too.
pub(super) const PIECE_BYTES: usize = 128;

/// Each line of the value, and the value as a whole if lines are too short for that: as they are, and escaped; and how
/// the whole looks encoded. No form is shorter than the text, so that none is in more harmless words.
pub(super) fn texts_of(value: &str) -> Vec<Vec<u8>> {
    let whole = value.trim();
    if whole.len() < MIN_BYTES {
        return Vec::new();
    }
    let lines = || whole.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut plain: Vec<&str> = lines().filter(|line| line.len() >= MIN_BYTES).collect();
    if lines().any(|line| line.len() < MIN_BYTES) {
        plain.push(whole);
    }
    let mut forms: BTreeSet<String> = plain.iter().flat_map(|text| escaped(text)).collect();
    forms.extend(plain.iter().map(|text| (*text).to_owned()));
    forms.extend(encoded(whole));
    forms.iter().flat_map(|form| pieces(form)).collect()
}

/// Splits a text into pieces of nearly equal length, so that none is too short to be searched for.
pub(super) fn pieces(mut text: &str) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    for left in (1..=text.len().div_ceil(PIECE_BYTES)).rev() {
        let (piece, rest) = text.split_at(text.floor_char_boundary(text.len() / left));
        pieces.push(piece.as_bytes().to_vec());
        text = rest;
    }
    pieces
}
