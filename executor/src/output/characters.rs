//! UTF-8 characters at the edges of a piece of output.

/// Length without a UTF-8 sequence that is cut off by the end. Bytes that are not UTF-8 count as complete.
pub(super) fn complete_len(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let needed = match bytes[at] {
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            // A continuation byte: the sequence begins further back.
            0b1000_0000..=0b1011_1111 => continue,
            _ => return bytes.len(),
        };
        return if needed > back { at } else { bytes.len() };
    }
    bytes.len()
}

/// Length of what is left at the beginning of a character that began before.
pub(super) fn rest_len(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|byte| matches!(byte, 0b1000_0000..=0b1011_1111)).count()
}

#[cfg(test)]
mod tests {
    use super::{complete_len, rest_len};

    #[test]
    fn holds_back_half_characters_only() {
        for (text, expected) in [
            (&b""[..], 0),
            (b"abc", 3),
            ("aé".as_bytes(), 3),
            (&"aé".as_bytes()[..2], 1),
            (&"€".as_bytes()[..1], 0),
            (&"€".as_bytes()[..2], 0),
            ("€".as_bytes(), 3),
            (&"a😀".as_bytes()[..4], 1),
            ("a😀".as_bytes(), 5),
            (b"\xff", 1),
            (b"a\x80\x80\x80\x80", 5),
            (b"\xf8\x80", 2),
        ] {
            assert_eq!(complete_len(text), expected, "{text:?}");
        }
    }

    #[test]
    fn skips_the_rest_of_a_character_only() {
        for (text, expected) in
            [(&b""[..], 0), (b"a", 0), (&"é".as_bytes()[1..], 1), (&"😀a".as_bytes()[1..], 3), (&[0x80; 9], 3)]
        {
            assert_eq!(rest_len(text), expected, "{text:?}");
        }
    }
}
