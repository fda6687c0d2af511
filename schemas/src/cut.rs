//! Texts of strangers, cut to a length.

/// The text, or as much of its beginning as fits in `bytes` with a mark behind it.
pub fn cut(text: &str, bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub(MARK.len()));
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, bytes, expected) in
            [("abc", 3, "abc"), ("abcd", 3, "…"), ("abcdef", 5, "ab…"), ("ééé", 5, "é…"), ("", 0, "")]
        {
            assert_eq!(cut(text, bytes), expected, "{text} {bytes}");
        }
    }
}
