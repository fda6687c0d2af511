//! Texts of strangers, cut to a length and stripped of characters that break a display.

use std::time::Duration;

use super::limits::{DURATION_MS, MESSAGE_BYTES, NAME_BYTES};

/// Collects a text up to a limit; text beyond the limit only leaves a mark.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub text: String,
    pub truncated: bool,
}

impl Message {
    pub(super) fn of(text: &str) -> Self {
        let mut message = Self::default();
        message.push(text);
        message
    }

    /// Leading white space is left out.
    pub(super) fn push(&mut self, text: &str) {
        let text = if self.text.is_empty() { text.trim_start() } else { text };
        if !self.truncated {
            self.truncated = push_clean(&mut self.text, text, MESSAGE_BYTES, |c| matches!(c, '\n' | '\t'));
        }
    }
}

pub(super) fn name(text: &str) -> String {
    let mut name = String::new();
    push_clean(&mut name, text, NAME_BYTES, |_| false);
    name
}

/// Returns true if something was left out.
fn push_clean(to: &mut String, text: &str, limit: usize, keep: impl Fn(char) -> bool) -> bool {
    for character in text.chars() {
        let next = if character.is_control() && !keep(character) { '\u{fffd}' } else { character };
        if to.len() + next.len_utf8() > limit {
            return true;
        }
        to.push(next);
    }
    false
}

/// Milliseconds; `None` for an impossible duration.
pub(super) fn millis(seconds: f64) -> Option<u64> {
    let rounded = Duration::try_from_secs_f64(seconds).ok()?.checked_add(Duration::from_micros(500))?;
    u64::try_from(rounded.as_millis()).ok().filter(|ms| *ms <= DURATION_MS)
}

/// Reads seconds as JUnit reports have them: with a point, and perhaps a comma before every third digit.
pub(super) fn millis_of_seconds(text: &str) -> Option<u64> {
    let whole = text.split('.').next()?;
    if whole.split(',').skip(1).any(|group| group.trim_end().len() != 3) {
        return None;
    }
    millis(text.trim().replace(',', "").parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_all_kinds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0.0004", Some(0)),
            ("0.0005", Some(1)),
            (" 1.25 ", Some(1250)),
            ("1,234.5", Some(1_234_500)),
            ("1,234,567", Some(1_234_567_000)),
            ("1e3", Some(1_000_000)),
            ("1,5", None),
            ("-1", None),
            ("-0", Some(0)),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("99999999999", None),
            ("", None),
            ("1s", None),
        ] {
            assert_eq!(millis_of_seconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(name("a\0b\n\u{1b}[1mé"), "a\u{fffd}b\u{fffd}\u{fffd}[1mé");
        assert_eq!(name(&"é".repeat(600)).len(), NAME_BYTES);
        let mut message = Message::of(" \n\tone\n");
        message.push("  two\r");
        assert_eq!((message.text.as_str(), message.truncated), ("one\n  two\u{fffd}", false));
        message.push(&"€".repeat(MESSAGE_BYTES));
        assert!(message.truncated && message.text.len() <= MESSAGE_BYTES);
        let whole = message.text.clone();
        message.push("x");
        assert_eq!(message.text, whole, "nothing follows a gap");
    }
}
