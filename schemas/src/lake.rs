//! Tables of sealed runs, for questions about many runs: the meaning of each column, and the places of the files. The
//! Parquet schema and the columns in `docs/reference/tables.md` both follow from the definitions here.

mod artifacts;
mod attempts;
mod document;
mod events_index;
mod file;
pub mod iceberg;
mod runs;
mod snapshot;
mod table;
mod tests;
mod usage;

pub use self::artifacts::ArtifactRow;
pub use self::attempts::AttemptRow;
pub use self::document::columns;
pub use self::events_index::EventsIndexRow;
pub use self::file::{FileName, PREFIX};
pub use self::runs::RunRow;
pub use self::snapshot::snapshot;
pub use self::table::{Cell, Column, Kind, Row, Table, Value};
pub use self::tests::{Messages, TestRow};
pub use self::usage::UsageRow;

/// Counts up when columns are added. No column is ever removed, renamed or given another type or meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// All tables in the order of writing. `runs` is last: a chunk that is in `runs` is in all other tables.
pub const TABLES: [&Table; 6] = [
    &ArtifactRow::TABLE,
    &AttemptRow::TABLE,
    &EventsIndexRow::TABLE,
    &TestRow::TABLE,
    &UsageRow::TABLE,
    &RunRow::TABLE,
];

/// The table of this name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.into_iter().find(|table| table.name == name)
}
