//! The tables in Apache Iceberg: the schema of a table (format version 2), partitioned by the day of the files.

use serde_json::{Value, json};

use super::table::{Kind, Table};

/// Field id of the day, which is in the paths of the files and not within them. The day is the first column: a catalog
/// that numbers fields itself comes to the same ids, and columns that are added at the end change none.
pub const DATE_FIELD: i32 = 1;
/// Name of the day, as a column and as a partition.
pub const DATE: &str = "date";
/// Field id of the partition; Iceberg begins at 1000.
pub const PARTITION_FIELD: i32 = 1000;

impl Kind {
    /// The type in Iceberg's JSON.
    fn iceberg(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "long",
            Self::Boolean => "boolean",
            Self::Time => "timestamptz",
        }
    }
}

/// Field id of the table's column at this position. Never changes: columns are added at the end, and none is removed.
pub fn field_id(position: usize) -> i32 {
    i32::try_from(position).map_or(i32::MAX, |position| position.saturating_add(DATE_FIELD + 1))
}

impl Table {
    /// The highest field id.
    pub fn last_field_id(&self) -> i32 {
        field_id(self.columns.len()) - 1
    }

    pub fn iceberg_schema(&self) -> Value {
        let date = json!({
            "id": DATE_FIELD, "name": DATE, "type": "date", "required": false,
            "doc": "UTC day on which the run was created.",
        });
        let columns = self.columns.iter().enumerate().map(|(position, column)| {
            json!({
                "id": field_id(position), "name": column.name, "type": column.kind.iceberg(),
                "required": column.required, "doc": column.meaning,
            })
        });
        let fields: Vec<Value> = std::iter::once(date).chain(columns).collect();
        json!({ "type": "struct", "schema-id": 0, "fields": fields })
    }

    /// Names of the fields for files without field ids, as JSON text.
    pub fn name_mapping(&self) -> String {
        let columns = self.columns.iter().enumerate();
        let mapped =
            columns.map(|(position, column)| json!({ "field-id": field_id(position), "names": [column.name] }));
        let date = json!({ "field-id": DATE_FIELD, "names": [DATE] });
        Value::Array(std::iter::once(date).chain(mapped).collect()).to_string()
    }
}

/// The fields of the partition spec.
pub fn partition_fields() -> Value {
    json!([{ "source-id": DATE_FIELD, "field-id": PARTITION_FIELD, "name": DATE, "transform": "identity" }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::TABLES;

    #[test]
    fn fields_are_numbered_in_the_order_of_the_schema() {
        for table in TABLES {
            let schema = table.iceberg_schema();
            let fields = schema["fields"].as_array().unwrap();
            let ids: Vec<u64> = fields.iter().map(|field| field["id"].as_u64().unwrap()).collect();
            assert_eq!(ids, (1..=fields.len() as u64).collect::<Vec<_>>());
            assert_eq!(fields[fields.len() - 1]["id"], table.last_field_id());
            let mapping: Vec<Value> = serde_json::from_str(&table.name_mapping()).unwrap();
            for (field, mapped) in fields.iter().zip(mapping) {
                assert_eq!((&field["id"], &field["name"]), (&mapped["field-id"], &mapped["names"][0]));
            }
        }
    }

    #[test]
    fn no_column_is_called_as_the_partition() {
        assert!(TABLES.iter().flat_map(|table| table.columns).all(|column| column.name != DATE));
    }
}
