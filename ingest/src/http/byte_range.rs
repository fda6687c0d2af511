//! The Range header of downloads (RFC 9110 section 14.2). Only a single range is honoured; a header with several is
//! ignored, as the standard allows.

use std::ops::RangeInclusive;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ranged {
    Whole,
    /// First and last byte.
    Part(RangeInclusive<u64>),
    Unsatisfiable,
}

/// Resolves a Range header for an object of this size.
pub(crate) fn resolve(header: &str, size: u64) -> Ranged {
    let Some((unit, spec)) = header.split_once('=') else { return Ranged::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranged::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else { return Ranged::Whole };
    match (number(first), number(last)) {
        (Bound::Number(first), _) if first >= size && !matches!(number(last), Bound::Malformed) => {
            Ranged::Unsatisfiable
        }
        (Bound::Number(first), Bound::Number(last)) if first <= last => Ranged::Part(first..=last.min(size - 1)),
        (Bound::Number(first), Bound::Absent) => Ranged::Part(first..=size - 1),
        (Bound::Absent, Bound::Number(0)) => Ranged::Unsatisfiable,
        (Bound::Absent, Bound::Number(_)) if size == 0 => Ranged::Unsatisfiable,
        (Bound::Absent, Bound::Number(suffix)) => Ranged::Part(size.saturating_sub(suffix)..=size - 1),
        // A malformed header is ignored.
        _ => Ranged::Whole,
    }
}

enum Bound {
    Absent,
    Number(u64),
    Malformed,
}

fn number(text: &str) -> Bound {
    if text.is_empty() {
        return Bound::Absent;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Bound::Malformed;
    }
    // A number beyond 64 bits is beyond every object.
    Bound::Number(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_mean_what_the_standard_says() {
        use Ranged::{Part, Unsatisfiable, Whole};
        for (header, size, expected) in [
            ("bytes=0-0", 10, Part(0..=0)),
            ("bytes=2-5", 10, Part(2..=5)),
            ("bytes=2-", 10, Part(2..=9)),
            ("bytes=-3", 10, Part(7..=9)),
            ("bytes=-30", 10, Part(0..=9)),
            ("bytes=5-99", 10, Part(5..=9)),
            ("Bytes=0-99999999999999999999999", 10, Part(0..=9)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-20", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-1", 0, Unsatisfiable),
            ("bytes=5-2", 10, Whole),
            ("bytes=0-1,3-4", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=-", 10, Whole),
            ("items=0-1", 10, Whole),
            ("", 10, Whole),
        ] {
            assert_eq!(resolve(header, size), expected, "{header:?} of {size}");
        }
    }
}
