//! What to look for in output because of one value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Shorter texts are part of too many harmless words: output without every `true` or `8080` helps nobody.
const MIN_BYTES: usize = 6;
/// Longer texts are looked for in pieces: little is held back, a search never goes back far, whatever strangers choose
/// as their secrets, and of a long secret a part is found, too.
pub(super) const PIECE_BYTES: usize = 128;

/// Each line of the value, the value as a whole if lines are too short for that, and how it looks within base64.
pub(super) fn texts_of(value: &str) -> Vec<Vec<u8>> {
    let whole = value.trim();
    if whole.len() < MIN_BYTES {
        return Vec::new();
    }
    let (mut texts, mut needs_whole) = (Vec::new(), false);
    for line in whole.lines().map(str::trim) {
        if line.len() >= MIN_BYTES {
            texts.extend(pieces(line));
        } else {
            needs_whole |= !line.is_empty();
        }
    }
    if needs_whole {
        texts.extend(pieces(whole));
    }
    texts.extend((0..3).flat_map(|shift| pieces(&within_base64(whole, shift))));
    texts
}

/// Of nearly equal length, so that none is too short to be looked for.
pub(super) fn pieces(mut text: &str) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    for left in (1..=text.len().div_ceil(PIECE_BYTES)).rev() {
        let (piece, rest) = text.split_at(text.floor_char_boundary(text.len() / left));
        pieces.push(piece.as_bytes().to_vec());
        text = rest;
    }
    pieces
}

/// The characters of a standard base64 text that depend on `text` alone, where `shift` bytes (modulo 3) come before it.
fn within_base64(text: &str, shift: usize) -> String {
    let shifted = [&[0; 2][..shift], text.as_bytes()].concat();
    let encoded = STANDARD_NO_PAD.encode(&shifted);
    let (first, end) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
    encoded[first..end].to_owned()
}
