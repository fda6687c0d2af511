//! Making text from strangers harmless for a terminal.

use std::fmt::Write as _;

/// One line: control characters, and characters that reorder or hide text, appear as escapes.
pub(crate) fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str(r"\n"),
            '\r' => escaped.push_str(r"\r"),
            '\t' => escaped.push_str(r"\t"),
            c if is_unsafe(c) => {
                let _ = write!(escaped, "{}", c.escape_unicode());
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON that is still the same JSON: outside of strings it has none of these characters, and within them it may escape any.
pub(crate) fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        // Line separators, bidirectional and invisible formatting (Unicode TR 36, "Trojan Source").
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::{json, line};

    #[test]
    fn nothing_drives_the_terminal() {
        for (text, expected) in [
            ("plain é 日本", "plain é 日本"),
            ("\x1b[31mred", r"\u{1b}[31mred"),
            ("a\nb\tc\r", r"a\nb\tc\r"),
            ("\u{9b}2J\u{7f}", r"\u{9b}2J\u{7f}"),
            ("\u{202e}evil", r"\u{202e}evil"),
        ] {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn json_stays_the_same_and_is_harmless() {
        let value = serde_json::json!({"\u{9b}2J": "\u{202e}é\x1b[31m\u{7f}\n\u{85}日"});
        let text = json(&value.to_string());
        assert_eq!(text, r#"{"\u009b2J":"\u202eé\u001b[31m\u007f\n\u0085日"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
