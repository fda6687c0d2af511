//! The filter's answers in the words of the OCI runtime specification (`linux.seccomp`).
//!
//! The specification has rules, and comparisons with a masked argument, but no "unless". So a condition becomes
//! the patterns of bits for which a call is refused, and those for which it is not.
use serde_json::{Value, json};

use super::rules::Test;

/// Some bits of some arguments: `(position, mask, value)`, at most one of a position.
pub(super) type Pattern = Vec<(u8, u32, u32)>;

/// The patterns that refuse a call, and the patterns that allow it. Together they match everything, and none of the one is also
/// of the other.
pub(super) fn patterns(rules: &[&[Test]]) -> [Vec<Pattern>; 2] {
    let mut refused = Vec::new();
    let mut allowed = vec![Pattern::new()];
    for tests in rules {
        let mut all = vec![Pattern::new()];
        let mut not_all = Vec::new();
        for test in *tests {
            // The first of the tests that does not hold: what is before it does.
            not_all.extend(both(&all, &matching(*test, false)));
            all = both(&all, &matching(*test, true));
        }
        refused.extend(all);
        allowed = both(&allowed, &not_all);
    }
    [refused, allowed]
}

/// The patterns of one argument for which a test holds, or does not.
fn matching(test: Test, holds: bool) -> Vec<Pattern> {
    match (test, holds) {
        (Test::Is(position, value), true) | (Test::IsNot(position, value), false) => {
            vec![vec![(position, u32::MAX, value)]]
        }
        // The highest bit that differs.
        (Test::Is(position, value), false) | (Test::IsNot(position, value), true) => {
            (0..32).map(|bit| vec![(position, u32::MAX << bit, (value ^ (1 << bit)) & (u32::MAX << bit))]).collect()
        }
        (Test::HasAny(position, mask), false) => vec![vec![(position, mask, 0)]],
        // The lowest bit of the mask that is set.
        (Test::HasAny(position, mask), true) => (0..32)
            .filter(|bit| mask & (1 << bit) != 0)
            .map(|bit| vec![(position, mask & (u32::MAX >> (31 - bit)), 1 << bit)])
            .collect(),
    }
}

/// The patterns that match where a pattern of each side matches.
fn both(left: &[Pattern], right: &[Pattern]) -> Vec<Pattern> {
    left.iter().flat_map(|a| right.iter().filter_map(|b| intersection(a, b))).collect()
}

fn intersection(a: &Pattern, b: &Pattern) -> Option<Pattern> {
    let mut result = a.clone();
    for &(position, mask, value) in b {
        match result.iter_mut().find(|(at, _, _)| *at == position) {
            None => result.push((position, mask, value)),
            Some((_, other_mask, other_value)) => {
                if (value ^ *other_value) & mask & *other_mask != 0 {
                    return None;
                }
                *other_mask |= mask;
                *other_value |= value;
            }
        }
    }
    Some(result)
}

/// `names` get `action`, those that `pattern` matches.
pub(super) fn rule(names: &[&str], action: &str, pattern: &Pattern) -> Value {
    let args: Vec<Value> = pattern
        .iter()
        .map(|(position, mask, value)| {
            json!({ "index": position, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" })
        })
        .collect();
    let mut rule = json!({ "names": names, "action": action });
    if action == REFUSE {
        rule["errnoRet"] = libc::EPERM.into();
    }
    if !args.is_empty() {
        rule["args"] = args.into();
    }
    rule
}

pub(super) const ALLOW: &str = "SCMP_ACT_ALLOW";
pub(super) const REFUSE: &str = "SCMP_ACT_ERRNO";

#[cfg(test)]
mod tests {
    use super::super::rules::CONDITIONS;
    use super::*;

    fn holds(test: Test, arguments: [u32; 6]) -> bool {
        match test {
            Test::Is(position, value) => arguments[usize::from(position)] == value,
            Test::IsNot(position, value) => arguments[usize::from(position)] != value,
            Test::HasAny(position, mask) => arguments[usize::from(position)] & mask != 0,
        }
    }

    fn matches(pattern: &Pattern, arguments: [u32; 6]) -> bool {
        pattern.iter().all(|(position, mask, value)| arguments[usize::from(*position)] & mask == *value)
    }

    #[test]
    fn patterns_say_the_same_as_the_conditions() {
        // All values that conditions name, their neighbours, and single bits.
        let mut values: Vec<u32> = (0..32).map(|bit| 1 << bit).collect();
        for test in CONDITIONS.iter().flat_map(|(_, tests)| *tests) {
            let (Test::Is(_, value) | Test::IsNot(_, value) | Test::HasAny(_, value)) = *test;
            values.extend([value, value.wrapping_add(1), value.wrapping_sub(1), !value, value | 0x8000_0000]);
        }
        let names: std::collections::BTreeSet<&str> = CONDITIONS.iter().map(|(name, _)| *name).collect();
        for name in names {
            let rules: Vec<&[Test]> =
                CONDITIONS.iter().filter(|(about, _)| *about == name).map(|(_, tests)| *tests).collect();
            let [refused, allowed] = patterns(&rules);
            for &first in &values {
                for &other in &values {
                    let arguments = [first, other, other, 0, 0, 0];
                    let refuses = rules.iter().any(|tests| tests.iter().all(|test| holds(*test, arguments)));
                    let by = |patterns: &[Pattern]| patterns.iter().any(|pattern| matches(pattern, arguments));
                    assert_eq!((by(&refused), by(&allowed)), (refuses, !refuses), "{name} {arguments:x?}");
                }
            }
            assert!(refused.len() + allowed.len() < 300, "{name}: {}", refused.len() + allowed.len());
        }
    }
}
