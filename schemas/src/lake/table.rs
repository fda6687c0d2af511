//! Building blocks of a table: columns of a few kinds, and rows that fill them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::iceberg::field_id;
use crate::Timestamp;

/// A column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Integer,
    Boolean,
    /// Milliseconds since 1970 in UTC.
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// Never null.
    pub required: bool,
    /// Meaning of the column, in one line.
    pub meaning: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    /// Meaning of a row.
    pub meaning: &'static str,
    /// Columns whose values together identify a row.
    pub key: &'static [&'static str],
    pub columns: &'static [Column],
}

/// Value of a row in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Text(String),
    /// An integer, or the milliseconds of a time.
    Integer(i64),
    Boolean(bool),
}

/// A row of one table.
pub trait Row {
    const TABLE: Table;

    /// The values in the order of the table's columns.
    fn values(self) -> Vec<Value>;
}

/// A Rust type that a column can have.
pub trait Cell {
    const KIND: Kind;
    const REQUIRED: bool = true;

    fn value(self) -> Value;
}

impl Kind {
    /// The physical and the logical type in Parquet's schema language.
    fn parquet(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("binary", " (STRING)"),
            Self::Integer => ("int64", ""),
            Self::Boolean => ("boolean", ""),
            Self::Time => ("int64", " (TIMESTAMP(MILLIS,true))"),
        }
    }

    /// The type in SQL, as DuckDB calls it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Text => "VARCHAR",
            Self::Integer => "BIGINT",
            Self::Boolean => "BOOLEAN",
            Self::Time => "TIMESTAMP WITH TIME ZONE",
        }
    }
}

impl Table {
    /// The schema as Parquet writes it, with the field ids of Iceberg.
    pub fn message_type(&self) -> String {
        let mut text = format!("message {} {{\n", self.name);
        for (position, column) in self.columns.iter().enumerate() {
            let id = field_id(position);
            let repetition = if column.required { "required" } else { "optional" };
            let (physical, logical) = column.kind.parquet();
            let _ = writeln!(text, "  {repetition} {physical} {}{logical} = {id};", column.name);
        }
        text.push('}');
        text
    }
}

impl Cell for String {
    const KIND: Kind = Kind::Text;

    fn value(self) -> Value {
        Value::Text(self)
    }
}

/// A map of strings becomes a JSON object.
impl Cell for BTreeMap<String, String> {
    const KIND: Kind = Kind::Text;

    fn value(self) -> Value {
        Value::Text(serde_json::json!(self).to_string())
    }
}

/// A list of strings becomes a JSON array.
impl Cell for Vec<String> {
    const KIND: Kind = Kind::Text;

    fn value(self) -> Value {
        Value::Text(serde_json::json!(self).to_string())
    }
}

/// Counts stay far below the limit.
impl Cell for u64 {
    const KIND: Kind = Kind::Integer;

    fn value(self) -> Value {
        Value::Integer(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl Cell for i32 {
    const KIND: Kind = Kind::Integer;

    fn value(self) -> Value {
        Value::Integer(self.into())
    }
}

impl Cell for bool {
    const KIND: Kind = Kind::Boolean;

    fn value(self) -> Value {
        Value::Boolean(self)
    }
}

impl Cell for Timestamp {
    const KIND: Kind = Kind::Time;

    fn value(self) -> Value {
        Value::Integer(self.unix_millis())
    }
}

impl<T: Cell> Cell for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;

    fn value(self) -> Value {
        self.map_or(Value::Null, T::value)
    }
}

/// Defines a row and its table: name, type and meaning of each column.
macro_rules! row {
    ($row:ident: $table:literal, $meaning:literal, key [$($key:literal),+] {
        $($column:ident: $kind:ty = $column_meaning:literal,)+
    }) => {
        #[doc = $meaning]
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $row { $(#[doc = $column_meaning] pub $column: $kind,)+ }

        impl crate::lake::table::Row for $row {
            const TABLE: crate::lake::table::Table = crate::lake::table::Table {
                name: $table,
                meaning: $meaning,
                key: &[$($key),+],
                columns: &[$(crate::lake::table::Column {
                    name: stringify!($column),
                    kind: <$kind as crate::lake::table::Cell>::KIND,
                    required: <$kind as crate::lake::table::Cell>::REQUIRED,
                    meaning: $column_meaning,
                }),+],
            };

            fn values(self) -> Vec<crate::lake::table::Value> {
                vec![$(crate::lake::table::Cell::value(self.$column)),+]
            }
        }
    };
}
pub(super) use row;

#[cfg(test)]
mod tests {
    use crate::lake::TABLES;

    #[test]
    fn columns_are_named_once_and_keys_are_columns_that_are_never_null() {
        for table in TABLES {
            let mut names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
            for key in table.key {
                assert!(table.columns.iter().any(|column| column.name == *key && column.required), "{key}");
            }
            assert_eq!(names[0], "workspace_run_id", "{}: the column that everything is joined by", table.name);
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}: {names:?}", table.name);
        }
    }

    #[test]
    fn the_parquet_schema_follows_from_the_columns() {
        let text = super::Table { columns: &crate::lake::table("usage").unwrap().columns[..2], ..USAGE }.message_type();
        assert_eq!(
            text,
            "message usage {\n  required binary workspace_run_id (STRING) = 2;\n  required binary usage_event_id (STRING) = 3;\n}"
        );
    }

    const USAGE: super::Table = <crate::lake::UsageRow as super::Row>::TABLE;
}
