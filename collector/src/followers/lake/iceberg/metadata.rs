//! A table's metadata from the catalog, as far as the collector needs it, and the check that the table is ours.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use schemas::lake::Table;
use schemas::lake::iceberg::{self, DATE_FIELD, PARTITION_FIELD};
use serde::Deserialize;
use serde_json::{Value, json};

/// The format version that the collector writes.
pub(super) const FORMAT_VERSION: i32 = 2;
/// The branch that readers see.
pub(super) const MAIN: &str = "main";
pub(super) const NAME_MAPPING: &str = "schema.name-mapping.default";
/// Number of former metadata files that stay; whoever commits deletes the others.
const FORMER_METADATA: &str = "20";

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Loaded {
    pub metadata: Metadata,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Metadata {
    pub format_version: i32,
    pub table_uuid: String,
    pub last_updated_ms: i64,
    #[serde(default)]
    pub last_sequence_number: i64,
    pub last_column_id: i32,
    pub current_schema_id: i32,
    pub schemas: Vec<Schema>,
    pub default_spec_id: i32,
    pub partition_specs: Vec<Spec>,
    #[serde(default)]
    current_snapshot_id: Option<i64>,
    #[serde(default)]
    pub snapshots: Vec<Snapshot>,
    #[serde(default)]
    refs: HashMap<String, Ref>,
    /// Oldest first.
    #[serde(default, rename = "metadata-log")]
    pub former: Vec<Former>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Schema {
    #[serde(default, rename = "schema-id")]
    pub id: i32,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Field {
    pub id: i32,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Value,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Spec {
    #[serde(rename = "spec-id")]
    pub id: i32,
    pub fields: Vec<SpecField>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SpecField {
    pub source_id: i32,
    pub field_id: i32,
    pub transform: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Snapshot {
    #[serde(rename = "snapshot-id")]
    pub id: i64,
    pub timestamp_ms: i64,
    pub manifest_list: String,
}

/// A branch or a tag.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ref {
    snapshot_id: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Former {
    pub metadata_file: String,
}

/// The request for a table that is missing.
pub(super) fn creation(table: &Table) -> Value {
    json!({
        "name": table.name,
        "schema": table.iceberg_schema(),
        "partition-spec": { "spec-id": 0, "fields": iceberg::partition_fields() },
        "stage-create": false,
        "properties": {
            "comment": table.meaning,
            "format-version": FORMAT_VERSION.to_string(),
            NAME_MAPPING: table.name_mapping(),
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": FORMER_METADATA,
        },
    })
}

impl Metadata {
    pub(super) fn current(&self) -> Option<&Snapshot> {
        let id = self.current_snapshot_id?;
        self.snapshots.iter().find(|snapshot| snapshot.id == id)
    }

    /// True if a tag or another branch than ours is at this snapshot.
    pub(super) fn is_named(&self, snapshot: i64) -> bool {
        self.refs.iter().any(|(name, named)| name != MAIN && named.snapshot_id == snapshot)
    }

    fn schema(&self) -> anyhow::Result<&Schema> {
        let current = self.schemas.iter().find(|schema| schema.id == self.current_schema_id);
        current.context("the catalog's metadata lacks the current schema")
    }

    /// True if the table lacks columns of ours. Fails if it is another table.
    pub(super) fn lacks_columns(&self, table: &Table) -> anyhow::Result<bool> {
        ensure!(
            self.format_version == FORMAT_VERSION,
            "the table `{}` in the catalog has format version {}, expected {FORMAT_VERSION}",
            table.name,
            self.format_version
        );
        let spec = self.partition_specs.iter().find(|spec| spec.id == self.default_spec_id);
        let partitioned = spec.is_some_and(|spec| {
            let [field] = &*spec.fields else { return false };
            (field.source_id, field.field_id, &*field.transform) == (DATE_FIELD, PARTITION_FIELD, "identity")
        });
        ensure!(
            partitioned,
            "the table `{}` in the catalog is not partitioned by `{}` alone",
            table.name,
            iceberg::DATE
        );
        let wanted: Vec<Field> = serde_json::from_value(table.iceberg_schema()["fields"].take())?;
        let found = &self.schema()?.fields;
        let lacking = wanted.iter().find(|field| !found.iter().any(|other| other.id == field.id));
        for field in &wanted {
            let other = found.iter().find(|other| other.id == field.id || other.name == field.name);
            ensure!(
                other.is_none_or(|other| other == field),
                "the table `{}` in the catalog has {}, expected {}: it is not one of ours, or of another version",
                table.name,
                other.map(ToString::to_string).unwrap_or_default(),
                field
            );
        }
        if let Some(field) = lacking {
            // Our columns are added at the end: columns of somebody else have taken their numbers.
            ensure!(
                self.last_column_id < field.id,
                "the table `{}` in the catalog got columns that are not ours, and cannot get {field}",
                table.name
            );
        }
        Ok(lacking.is_some())
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.as_str().map_or_else(|| self.kind.to_string(), ToOwned::to_owned);
        write!(f, "field {} `{}` {kind}", self.id, self.name)
    }
}
