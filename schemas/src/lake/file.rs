//! Names of the tables' files: a file's name says which chunks of runs are in the file.

use std::fmt;
use std::str::FromStr;

use time::Date;
use time::macros::format_description;

use super::table;

/// Folder of all tables in the bucket.
pub const PREFIX: &str = "tables/";

/// `tables/<table>/date=YYYY-MM-DD/<first>-<last>.parquet`: the runs of that day in these chunks. A chunk that was not
/// yet compacted is a file of its own, `<n>-<n>.parquet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName {
    pub table: &'static str,
    /// UTC day on which the runs were created.
    pub date: Date,
    pub first_batch: u64,
    pub last_batch: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected tables/<table>/date=YYYY-MM-DD/<first>-<last>.parquet, got `{0}`")]
pub struct InvalidFileName(String);

impl FileName {
    /// True if everything in the other file is in this one, too.
    pub fn replaces(&self, other: &Self) -> bool {
        (self.table, self.date) == (other.table, other.date)
            && self != other
            && self.first_batch <= other.first_batch
            && other.last_batch <= self.last_batch
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, date, first_batch, last_batch } = self;
        write!(f, "{PREFIX}{table}/date={date}/{first_batch:010}-{last_batch:010}.parquet")
    }
}

impl FromStr for FileName {
    type Err = InvalidFileName;

    fn from_str(key: &str) -> Result<Self, InvalidFileName> {
        let parsed = || {
            let mut pieces = key.strip_prefix(PREFIX)?.split('/');
            let (name, day, file) = (pieces.next()?, pieces.next()?, pieces.next()?);
            let format = format_description!("[year]-[month]-[day]");
            let day = Date::parse(day.strip_prefix("date=")?, format).ok()?;
            let (first, last) = file.strip_suffix(".parquet")?.split_once('-')?;
            let name = Self {
                table: table(name)?.name,
                date: day,
                first_batch: first.parse().ok()?,
                last_batch: last.parse().ok()?,
            };
            // Only the spelling that `Display` writes: a file has one name.
            (name.to_string() == key && name.first_batch <= name.last_batch).then_some(name)
        };
        parsed().ok_or_else(|| InvalidFileName(key.chars().take(200).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_as_they_are_written_and_nothing_else_is() {
        let name = "tables/runs/date=2026-01-31/0000000007-0000000012.parquet";
        let read: FileName = name.parse().unwrap();
        assert_eq!((read.table, read.first_batch, read.last_batch), ("runs", 7, 12));
        assert_eq!(read.to_string(), name);
        for other in [
            "tables/runs/date=2026-01-31/7-12.parquet",
            "tables/runs/date=2026-1-31/0000000007-0000000012.parquet",
            "tables/runs/date=2026-01-31/0000000012-0000000007.parquet",
            "tables/runs/date=2026-01-31/../0000000007-0000000012.parquet",
            "tables/others/date=2026-01-31/0000000007-0000000012.parquet",
            "runs/date=2026-01-31/0000000007-0000000012.parquet",
        ] {
            assert!(other.parse::<FileName>().is_err(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn hostile_names_never_panic(name: String) {
            let _ = name.parse::<FileName>();
            let _ = format!("{PREFIX}runs/{name}").parse::<FileName>();
        }
    }
}
