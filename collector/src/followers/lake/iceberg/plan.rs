//! Plans the changes in the catalog: compares the files of a table with those that are registered.

use std::collections::BTreeMap;

use schemas::lake::FileName;

/// Files with their rows.
pub(super) type Rows = BTreeMap<FileName, u64>;

/// The operation of one snapshot, in Iceberg's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Files were added.
    Append,
    /// Other files with the same rows.
    Replace,
    /// Files were added and removed, and the rows are others.
    Overwrite,
    /// Files were removed.
    Delete,
}

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub operation: Operation,
    pub added: Rows,
    pub removed: Rows,
}

impl Operation {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Overwrite => "overwrite",
            Self::Delete => "delete",
        }
    }
}

/// Returns the changes in the order of their commits; none if the catalog has everything.
pub(super) fn changes(registered: &Rows, wanted: &Rows) -> Vec<Change> {
    let mut removed = difference(registered, wanted);
    let mut added = difference(wanted, registered);
    let mut changes = Vec::new();
    let compacted = split_off(&mut added, |file| removed.keys().any(|old| file.replaces(old)));
    if !compacted.is_empty() {
        let replaced = split_off(&mut removed, |old| compacted.keys().any(|file| file == old || file.replaces(old)));
        let same_rows = compacted.values().sum::<u64>() == replaced.values().sum::<u64>();
        let operation = if same_rows { Operation::Replace } else { Operation::Overwrite };
        changes.push(Change { operation, added: compacted, removed: replaced });
    }
    if !removed.is_empty() {
        changes.push(Change { operation: Operation::Delete, added: Rows::new(), removed });
    }
    if !added.is_empty() {
        changes.push(Change { operation: Operation::Append, added, removed: Rows::new() });
    }
    changes
}

/// The files that the others lack, or have with another number of rows.
fn difference(files: &Rows, others: &Rows) -> Rows {
    let missing = files.iter().filter(|(file, rows)| others.get(file) != Some(rows));
    missing.map(|(file, rows)| (*file, *rows)).collect()
}

fn split_off(files: &mut Rows, belongs: impl Fn(&FileName) -> bool) -> Rows {
    let (taken, left) = std::mem::take(files).into_iter().partition(|(file, _)| belongs(file));
    *files = left;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::date;

    fn files(files: &[(u64, u64, u64)]) -> Rows {
        let file =
            |first_batch, last_batch| FileName { table: "runs", date: date!(2026 - 01 - 31), first_batch, last_batch };
        files.iter().map(|(first, last, rows)| (file(*first, *last), *rows)).collect()
    }

    #[test]
    fn each_kind_of_change_is_called_what_it_is() {
        use Operation::{Append, Delete, Overwrite, Replace};
        for (registered, wanted, expected) in [
            (files(&[]), files(&[]), vec![]),
            (files(&[(1, 1, 5)]), files(&[(1, 1, 5)]), vec![]),
            (files(&[(1, 1, 5)]), files(&[(1, 1, 5), (2, 2, 1)]), vec![(Append, 1, 0)]),
            (files(&[(1, 1, 5), (2, 2, 1)]), files(&[(1, 2, 6)]), vec![(Replace, 1, 2)]),
            (files(&[(1, 1, 5), (2, 2, 1)]), files(&[(1, 2, 6), (3, 3, 1)]), vec![(Replace, 1, 2), (Append, 1, 0)]),
            // The second one was not registered when it was compacted.
            (files(&[(1, 1, 5)]), files(&[(1, 2, 6)]), vec![(Overwrite, 1, 1)]),
            (files(&[(1, 1, 5)]), files(&[]), vec![(Delete, 0, 1)]),
            (files(&[(1, 1, 5)]), files(&[(1, 1, 6)]), vec![(Delete, 0, 1), (Append, 1, 0)]),
        ] {
            let found: Vec<_> = changes(&registered, &wanted)
                .into_iter()
                .map(|change| (change.operation, change.added.len(), change.removed.len()))
                .collect();
            assert_eq!(found, expected, "{registered:?} {wanted:?}");
        }
    }

    proptest! {
        #[test]
        fn the_changes_lead_to_what_is_wanted(
            registered in prop::collection::vec((1_u64..9, 1_u64..4, 0_u64..3), 0..8),
            wanted in prop::collection::vec((1_u64..9, 1_u64..4, 0_u64..3), 0..8),
        ) {
            let of = |list: Vec<(u64, u64, u64)>| {
                files(&list.into_iter().map(|(first, more, rows)| (first, first + more - 1, rows)).collect::<Vec<_>>())
            };
            let (mut registered, wanted) = (of(registered), of(wanted));
            for change in changes(&registered, &wanted) {
                for file in change.removed.keys() {
                    prop_assert!(registered.remove(file).is_some());
                }
                for (file, rows) in change.added {
                    prop_assert!(registered.insert(file, rows).is_none());
                }
            }
            prop_assert_eq!(registered, wanted);
        }
    }
}
