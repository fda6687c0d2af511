//! Manifests and manifest lists: Avro files that say which data files a snapshot has, as format version 2 of Iceberg
//! defines them. Optional fields to which the collector has nothing to say are left out.

use std::collections::HashMap;

use anyhow::Context as _;
use apache_avro::types::Value as Avro;
use apache_avro::{Codec, DeflateSettings, Reader, Schema, Writer};
use bytes::Bytes;
use schemas::lake::iceberg::{DATE, PARTITION_FIELD, partition_fields};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::Date;
use time::macros::date;

use super::metadata::FORMAT_VERSION;

/// Kinds of entries.
pub(super) const EXISTING: i32 = 0;
pub(super) const ADDED: i32 = 1;
pub(super) const DELETED: i32 = 2;

const EPOCH: Date = date!(1970 - 01 - 01);

// The types are renamed to the records of the Avro schemas, since reading depends on the names.

/// One data file in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "manifest_entry")]
pub(super) struct ManifestEntry {
    pub status: i32,
    pub snapshot_id: Option<i64>,
    /// `None` stands for the number of the manifest.
    pub sequence_number: Option<i64>,
    pub file_sequence_number: Option<i64>,
    pub data_file: DataFile,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "r2")]
pub(super) struct DataFile {
    pub content: i32,
    pub file_path: String,
    pub file_format: String,
    pub partition: Partition,
    pub record_count: i64,
    pub file_size_in_bytes: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "r102")]
pub(super) struct Partition {
    /// Days since 1970.
    pub date: Option<i32>,
}

/// One manifest in a manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "manifest_file")]
pub(super) struct ManifestFile {
    pub manifest_path: String,
    pub manifest_length: i64,
    pub partition_spec_id: i32,
    pub content: i32,
    pub sequence_number: i64,
    pub min_sequence_number: i64,
    pub added_snapshot_id: i64,
    pub added_files_count: i32,
    pub existing_files_count: i32,
    pub deleted_files_count: i32,
    pub added_rows_count: i64,
    pub existing_rows_count: i64,
    pub deleted_rows_count: i64,
    pub partitions: Option<Vec<PartitionSummary>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "r508")]
pub(super) struct PartitionSummary {
    pub contains_null: bool,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub lower_bound: Option<Vec<u8>>,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub upper_bound: Option<Vec<u8>>,
}

pub(super) fn days(date: Date) -> i32 {
    i32::try_from((date - EPOCH).whole_days()).unwrap_or_default()
}

impl PartitionSummary {
    /// The summary of files of one day.
    pub(super) fn of(day: i32) -> Self {
        let bound = Some(day.to_le_bytes().to_vec());
        Self { contains_null: false, lower_bound: bound.clone(), upper_bound: bound }
    }
}

/// The bytes of a manifest of this table.
pub(super) fn manifest(table_schema: &Value, spec_id: i32, entries: &[ManifestEntry]) -> anyhow::Result<Bytes> {
    let about = [
        ("schema", table_schema.to_string()),
        ("schema-id", table_schema["schema-id"].to_string()),
        ("partition-spec", partition_fields().to_string()),
        ("partition-spec-id", spec_id.to_string()),
        ("format-version", FORMAT_VERSION.to_string()),
        ("content", "data".to_owned()),
    ];
    write(&manifest_schema(), about, entries)
}

/// The bytes of the manifest list of a snapshot.
pub(super) fn manifest_list(
    snapshot: i64,
    parent: Option<i64>,
    sequence_number: i64,
    manifests: &[ManifestFile],
) -> anyhow::Result<Bytes> {
    let about = [
        ("snapshot-id", snapshot.to_string()),
        ("parent-snapshot-id", parent.map_or("null".to_owned(), |parent| parent.to_string())),
        ("sequence-number", sequence_number.to_string()),
        ("format-version", FORMAT_VERSION.to_string()),
    ];
    write(&manifest_list_schema(), about, manifests)
}

fn write<const N: usize>(
    schema: &Value,
    about: [(&str, String); N],
    records: &[impl Serialize],
) -> anyhow::Result<Bytes> {
    let schema = Schema::parse(schema)?;
    let about: HashMap<String, Avro> =
        about.into_iter().map(|(key, value)| (key.to_owned(), Avro::Bytes(value.into_bytes()))).collect();
    let mut writer = Writer::builder()
        .schema(&schema)
        .writer(Vec::new())
        .codec(Codec::Deflate(DeflateSettings::default()))
        .user_metadata(about)
        .human_readable(false)
        .build()?;
    for record in records {
        writer.append_ser(record)?;
    }
    Ok(writer.into_inner()?.into())
}

/// The records of a file that the collector wrote.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<Vec<T>> {
    let reader = Reader::builder(bytes).human_readable(false).build().context("not an Avro file")?;
    Ok(reader.into_deser_iter().collect::<Result<_, _>>()?)
}

fn field(id: i32, name: &str, kind: impl Into<Value>) -> Value {
    json!({ "name": name, "type": kind.into(), "field-id": id })
}

fn optional(id: i32, name: &str, kind: impl Into<Value>) -> Value {
    json!({ "name": name, "type": ["null", kind.into()], "default": null, "field-id": id })
}

fn manifest_schema() -> Value {
    let date = optional(PARTITION_FIELD, DATE, json!({ "type": "int", "logicalType": "date" }));
    let data_file = json!({ "type": "record", "name": "r2", "fields": [
        field(134, "content", "int"),
        field(100, "file_path", "string"),
        field(101, "file_format", "string"),
        field(102, "partition", json!({ "type": "record", "name": "r102", "fields": [date] })),
        field(103, "record_count", "long"),
        field(104, "file_size_in_bytes", "long"),
    ] });
    json!({ "type": "record", "name": "manifest_entry", "fields": [
        field(0, "status", "int"),
        optional(1, "snapshot_id", "long"),
        optional(3, "sequence_number", "long"),
        optional(4, "file_sequence_number", "long"),
        field(2, "data_file", data_file),
    ] })
}

fn manifest_list_schema() -> Value {
    let summary = json!({ "type": "record", "name": "r508", "fields": [
        field(509, "contains_null", "boolean"),
        optional(510, "lower_bound", "bytes"),
        optional(511, "upper_bound", "bytes"),
    ] });
    json!({ "type": "record", "name": "manifest_file", "fields": [
        field(500, "manifest_path", "string"),
        field(501, "manifest_length", "long"),
        field(502, "partition_spec_id", "int"),
        field(517, "content", "int"),
        field(515, "sequence_number", "long"),
        field(516, "min_sequence_number", "long"),
        field(503, "added_snapshot_id", "long"),
        field(504, "added_files_count", "int"),
        field(505, "existing_files_count", "int"),
        field(506, "deleted_files_count", "int"),
        field(512, "added_rows_count", "long"),
        field(513, "existing_rows_count", "long"),
        field(514, "deleted_rows_count", "long"),
        optional(507, "partitions", json!({ "type": "array", "items": summary, "element-id": 508 })),
    ] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_says_what_iceberg_wants() {
        let entry = |status, sequence_number| ManifestEntry {
            status,
            snapshot_id: Some(7),
            sequence_number,
            file_sequence_number: sequence_number,
            data_file: DataFile {
                content: 0,
                file_path: "s3://bucket/tables/runs/date=2026-01-31/0000000001-0000000001.parquet".to_owned(),
                file_format: "PARQUET".to_owned(),
                partition: Partition { date: Some(days(date!(2026 - 01 - 31))) },
                record_count: 12,
                file_size_in_bytes: 3_456,
            },
        };
        let entries = [entry(ADDED, None), entry(EXISTING, Some(3)), entry(DELETED, Some(1))];
        let table = schemas::lake::table("runs").unwrap();
        let bytes = manifest(&table.iceberg_schema(), 0, &entries).unwrap();
        assert_eq!(read::<ManifestEntry>(&bytes).unwrap(), entries);
        let reader = Reader::new(&*bytes).unwrap();
        assert_eq!(reader.user_metadata()["content"], b"data");
        assert!(serde_json::to_string(reader.writer_schema()).unwrap().contains("\"field-id\":1000"));
    }

    #[test]
    fn a_list_has_its_manifests_and_their_day() {
        let file = ManifestFile {
            manifest_path: "s3://bucket/iceberg/m.avro".to_owned(),
            manifest_length: 99,
            partition_spec_id: 0,
            content: 0,
            sequence_number: 4,
            min_sequence_number: 2,
            added_snapshot_id: 7,
            added_files_count: 1,
            existing_files_count: 2,
            deleted_files_count: 3,
            added_rows_count: 10,
            existing_rows_count: 20,
            deleted_rows_count: 30,
            partitions: Some(vec![PartitionSummary::of(days(date!(2026 - 01 - 31)))]),
        };
        let bytes = manifest_list(7, None, 4, std::slice::from_ref(&file)).unwrap();
        assert_eq!(read::<ManifestFile>(&bytes).unwrap(), [file]);
    }

    #[test]
    fn what_is_not_avro_is_an_error() {
        for bytes in [&b""[..], b"Obj\x01", b"Obj\x01\x02\x00"] {
            assert!(read::<ManifestFile>(bytes).is_err());
        }
    }
}
