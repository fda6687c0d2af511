//! The numbers that no part and no segment of a log has. They are derived from what is stored: a gap that was noted and then
//! filled, or one that nobody noted, is said as it is.

use schemas::evidence::SeqRange;

use crate::db::log_parts::StoredPart;
use crate::db::segments::StoredSegment;

/// The gaps in 1 to `last_seq`, in order. `known` are those that the intake noted: within a part, which is in the store by now,
/// they count as noted.
pub(super) fn between(
    parts: &[StoredPart],
    segments: &[StoredSegment],
    known: &[SeqRange],
    last_seq: u64,
) -> Vec<SeqRange> {
    let mut gaps = Vec::new();
    let mut next = 1;
    let mut skip = |gaps: &mut Vec<SeqRange>, first: u64, last: u64| {
        if first > next {
            gaps.push(SeqRange { first_seq: next, last_seq: first - 1 });
        }
        next = last.saturating_add(1).max(next);
    };
    for StoredPart { part, .. } in parts {
        skip(&mut gaps, part.first_seq, part.last_seq);
        let within = |gap: &&SeqRange| gap.first_seq > part.first_seq && gap.last_seq < part.last_seq;
        gaps.extend(known.iter().filter(within).cloned());
    }
    for segment in segments {
        skip(&mut gaps, segment.first_seq, segment.last_seq);
    }
    skip(&mut gaps, last_seq.saturating_add(1), last_seq);
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::evidence::EventLogPart;

    fn part((first_seq, last_seq): (u64, u64)) -> StoredPart {
        let part = EventLogPart {
            object_key: String::new(),
            size_bytes: 0,
            sha256: String::new(),
            first_seq,
            last_seq,
            index_offset: 0,
        };
        StoredPart { run_id: "wsr_1".parse().unwrap(), part, leaves: Vec::new() }
    }

    fn segment((first_seq, last_seq): (u64, u64)) -> StoredSegment {
        StoredSegment { first_seq, last_seq, plain_bytes: 1, frame: Vec::new() }
    }

    #[test]
    fn what_is_missing_is_said_wherever_it_is() {
        type Ranges = &'static [(u64, u64)];
        let check = |parts: Ranges, segments: Ranges, known: Ranges, last_seq: u64, expected: Ranges| {
            let range = |&(first_seq, last_seq): &(u64, u64)| SeqRange { first_seq, last_seq };
            let parts: Vec<_> = parts.iter().copied().map(part).collect();
            let segments: Vec<_> = segments.iter().copied().map(segment).collect();
            let known: Vec<_> = known.iter().map(range).collect();
            let expected: Vec<_> = expected.iter().map(range).collect();
            assert_eq!(between(&parts, &segments, &known, last_seq), expected, "{parts:?} {segments:?} {last_seq}");
        };
        check(&[], &[], &[], 0, &[]);
        check(&[], &[(1, 3), (4, 9)], &[], 9, &[]);
        check(&[], &[(1, 3), (6, 9)], &[(4, 5)], 9, &[(4, 5)]);
        // Nobody noted these.
        check(&[], &[(3, 4)], &[], 9, &[(1, 2), (5, 9)]);
        check(&[], &[], &[], 2, &[(1, 2)]);
        // Noted, and not true.
        check(&[], &[(1, 9)], &[(4, 5)], 9, &[]);
        check(&[(1, 9), (12, 20)], &[(23, 24)], &[(4, 5), (10, 11), (21, 22)], 24, &[(4, 5), (10, 11), (21, 22)]);
    }
}
