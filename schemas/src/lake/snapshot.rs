//! Choice of the files to read, so that every run is there once, in all tables or in none.

use std::collections::HashMap;

use time::Date;

use super::file::FileName;
use super::runs::RunRow;
use super::table::Row as _;

/// Leaves out the files that a compacted file replaces (they are deleted soon), and chunks that are being written: a
/// chunk counts once it is in `runs`. `runs` must have been listed first.
pub fn snapshot(listed: impl IntoIterator<Item = FileName>) -> Vec<FileName> {
    let mut files: Vec<FileName> = listed.into_iter().collect();
    // Larger ranges before those within them.
    files.sort_by_key(|file| (file.table, file.date, file.first_batch, u64::MAX - file.last_batch));
    files.dedup();
    let mut complete: HashMap<Date, u64> = HashMap::new();
    for file in files.iter().filter(|file| file.table == RunRow::TABLE.name) {
        let last = complete.entry(file.date).or_default();
        *last = file.last_batch.max(*last);
    }
    let mut kept: Vec<FileName> = Vec::with_capacity(files.len());
    for file in files {
        let replaced = kept.last().is_some_and(|before| before.replaces(&file));
        if !replaced && complete.get(&file.date).is_some_and(|last| file.first_batch <= *last) {
            kept.push(file);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn file(table: &str, first_batch: u64, last_batch: u64) -> FileName {
        let table = crate::lake::table(table).unwrap().name;
        FileName { table, date: time::macros::date!(2026 - 01 - 31), first_batch, last_batch }
    }

    #[test]
    fn compacted_files_replace_and_unfinished_batches_wait() {
        let listed = [
            file("runs", 1, 1),
            file("runs", 1, 4),
            file("runs", 4, 4),
            file("runs", 6, 6),
            file("tests", 2, 2),
            file("tests", 7, 7),
        ];
        assert_eq!(snapshot(listed), [file("runs", 1, 4), file("runs", 6, 6), file("tests", 2, 2)]);
        assert_eq!(snapshot([file("tests", 1, 1)]), []);
    }

    proptest! {
        #[test]
        fn whatever_a_crash_left_each_batch_is_read_once(
            sizes in prop::collection::vec(1_u64..5, 1..6),
            left in prop::collection::vec(any::<bool>(), 30),
        ) {
            // Compacted files side by side, and some of the files that they replace.
            let (mut listed, mut next, mut all) = (Vec::new(), 1, BTreeSet::new());
            for size in sizes {
                listed.push(file("runs", next, next + size - 1));
                for batch in next..next + size {
                    all.insert(batch);
                    if left[usize::try_from(batch).unwrap() % left.len()] {
                        listed.push(file("runs", batch, batch));
                    }
                }
                next += size;
            }
            let read: Vec<u64> = snapshot(listed).iter().flat_map(|f| f.first_batch..=f.last_batch).collect();
            prop_assert_eq!(read.len(), all.len());
            prop_assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), all);
        }
    }
}
