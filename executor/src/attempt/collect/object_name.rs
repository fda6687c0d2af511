//! The name of an artifact in its object's key, from a name that a stranger chose.

/// Longest object name taken from a file name, in bytes.
const NAME_BYTES: usize = 200;

/// The last part of an object key: one path component of printable characters that every client can handle.
pub(super) fn object_name(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    for character in name.chars() {
        let replace = character.is_control() || matches!(character, '/' | '\\' | '\u{fffd}');
        let next = if replace { '_' } else { character };
        if clean.len() + next.len_utf8() > NAME_BYTES {
            break;
        }
        clean.push(next);
    }
    if clean.chars().all(|character| character == '.') { "artifact".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::object_name;

    #[test]
    fn names_are_one_plain_component() {
        for (name, expected) in [
            ("report.xml", "report.xml"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("..", "artifact"),
            ("", "artifact"),
            ("a\nb\0c", "a_b_c"),
            ("ünï.txt", "ünï.txt"),
        ] {
            assert_eq!(object_name(name), expected, "{name:?}");
        }
        assert!(object_name(&"é".repeat(300)).len() <= 200);
    }
}
