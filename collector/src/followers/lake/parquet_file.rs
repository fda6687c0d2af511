//! Parquet files of a table: writes rows, and merges the rows of several files. The same rows give the same bytes.

use std::mem;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::FileReader as _;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::parser::parse_message_type;
use schemas::lake::{Kind, SCHEMA_VERSION, Table, Value};

/// A row group ends at this number of rows or bytes, whichever comes first.
const GROUP_ROWS: usize = 128 * 1024;
const GROUP_BYTES: usize = 64 << 20;
const ZSTD_LEVEL: i32 = 3;
/// Does not name our version, which would change the bytes. Readers look for the word `version`.
const CREATED_BY: &str = "crownest version 1";
const VERSION_KEY: &str = "crownest.schema_version";
const MEMBERS_KEY: &str = "crownest.members";

/// A file that is being written, in memory.
#[derive(Debug)]
pub struct TableWriter {
    columns: Vec<Buffer>,
    buffered_rows: usize,
    buffered_bytes: usize,
    rows: u64,
    file: SerializedFileWriter<Vec<u8>>,
}

/// A file as it is stored.
#[derive(Debug)]
pub struct TableFile {
    pub bytes: Bytes,
    pub rows: u64,
}

/// The values of one column that are not in the file yet.
#[derive(Debug)]
struct Buffer {
    required: bool,
    /// 1 for each value, 0 for each null.
    levels: Vec<i16>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Text(Vec<ByteArray>),
    Integer(Vec<i64>),
    Boolean(Vec<bool>),
}

impl TableWriter {
    /// `members` identifies what the file is made of.
    pub fn new(table: &Table, members: &str) -> anyhow::Result<Self> {
        let schema = parse_message_type(&table.message_type())?;
        let about = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_dictionary_enabled(true)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_key_value_metadata(Some(vec![
                about(VERSION_KEY, SCHEMA_VERSION.to_string()),
                about(MEMBERS_KEY, members.to_owned()),
            ]));
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build()))?;
        let columns = table.columns.iter().map(|column| Buffer::new(column.kind, column.required)).collect();
        Ok(Self { columns, buffered_rows: 0, buffered_bytes: 0, rows: 0, file })
    }

    pub fn push(&mut self, row: Vec<Value>) -> anyhow::Result<()> {
        anyhow::ensure!(row.len() == self.columns.len(), "{} values for {} columns", row.len(), self.columns.len());
        for (buffer, value) in self.columns.iter_mut().zip(row) {
            self.buffered_bytes += buffer.push(value)?;
        }
        self.row_pushed()
    }

    fn row_pushed(&mut self) -> anyhow::Result<()> {
        self.rows += 1;
        self.buffered_rows += 1;
        if self.buffered_rows >= GROUP_ROWS || self.buffered_bytes >= GROUP_BYTES { self.end_group() } else { Ok(()) }
    }

    fn end_group(&mut self) -> anyhow::Result<()> {
        if self.buffered_rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for buffer in &mut self.columns {
            let mut column = group.next_column()?.context("a column without a writer")?;
            buffer.write(column.untyped())?;
            column.close()?;
        }
        group.close()?;
        (self.buffered_rows, self.buffered_bytes) = (0, 0);
        Ok(())
    }

    pub fn finish(mut self) -> anyhow::Result<TableFile> {
        self.end_group()?;
        let bytes = self.file.into_inner()?;
        Ok(TableFile { bytes: bytes.into(), rows: self.rows })
    }

    /// Appends the rows of another file of the same table. Columns that it lacks, since it is older, become null.
    pub fn append(&mut self, table: &Table, bytes: Bytes) -> anyhow::Result<u64> {
        let reader = SerializedFileReader::new(bytes).context("not a Parquet file")?;
        let version = about(&reader, VERSION_KEY).and_then(|version| version.parse().ok()).unwrap_or(u32::MAX);
        anyhow::ensure!(
            version <= SCHEMA_VERSION,
            "the file has schema version {version}, this collector knows {SCHEMA_VERSION}: it would lose columns"
        );
        let schema = reader.metadata().file_metadata().schema_descr();
        let position = |name| schema.columns().iter().position(|column| column.name() == name);
        let positions: Vec<Option<usize>> = table.columns.iter().map(|column| position(column.name)).collect();
        let mut appended = 0;
        for row in reader.get_row_iter(None)? {
            let mut fields: Vec<Field> = row?.into_columns().into_iter().map(|(_, field)| field).collect();
            let mut take = |at: usize| fields.get_mut(at).map_or(Field::Null, |field| mem::replace(field, Field::Null));
            let values = positions.iter().map(|at| value(at.map_or(Field::Null, &mut take)));
            self.push(values.collect::<anyhow::Result<_>>()?)?;
            appended += 1;
        }
        Ok(appended)
    }
}

/// Reads the digest of a stored file's members, and its number of rows.
pub(super) fn describe(bytes: Bytes) -> anyhow::Result<(Option<String>, u64)> {
    let reader = SerializedFileReader::new(bytes).context("not a Parquet file")?;
    let rows = reader.metadata().file_metadata().num_rows();
    Ok((about(&reader, MEMBERS_KEY), u64::try_from(rows)?))
}

fn about(reader: &SerializedFileReader<Bytes>, key: &str) -> Option<String> {
    let about = reader.metadata().file_metadata().key_value_metadata()?;
    about.iter().find(|pair| pair.key == key)?.value.clone()
}

fn value(field: Field) -> anyhow::Result<Value> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Str(text) => Value::Text(text),
        Field::Long(number) | Field::TimestampMillis(number) => Value::Integer(number),
        Field::Bool(truth) => Value::Boolean(truth),
        other => anyhow::bail!("a value of an unexpected type: {other:?}"),
    })
}

impl Buffer {
    fn new(kind: Kind, required: bool) -> Self {
        let values = match kind {
            Kind::Text => Values::Text(Vec::new()),
            Kind::Integer | Kind::Time => Values::Integer(Vec::new()),
            Kind::Boolean => Values::Boolean(Vec::new()),
        };
        Self { required, levels: Vec::new(), values }
    }

    /// Returns the approximate bytes that the value takes.
    fn push(&mut self, value: Value) -> anyhow::Result<usize> {
        let size = match (&mut self.values, value) {
            (_, Value::Null) => {
                anyhow::ensure!(!self.required, "a required column without a value");
                self.levels.push(0);
                return Ok(size_of::<i16>());
            }
            (Values::Text(values), Value::Text(text)) => {
                let size = text.len() + size_of::<ByteArray>();
                values.push(text.into_bytes().into());
                size
            }
            (Values::Integer(values), Value::Integer(number)) => {
                values.push(number);
                size_of::<i64>()
            }
            (Values::Boolean(values), Value::Boolean(truth)) => {
                values.push(truth);
                1
            }
            (values, value) => anyhow::bail!("{value:?} in a column of {values:?}"),
        };
        self.levels.push(1);
        Ok(size)
    }

    fn write(&mut self, column: &mut ColumnWriter<'_>) -> anyhow::Result<()> {
        let levels = (!self.required).then_some(self.levels.as_slice());
        match (&mut self.values, column) {
            (Values::Text(values), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (Values::Integer(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (Values::Boolean(values), ColumnWriter::BoolColumnWriter(writer)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            _ => anyhow::bail!("a column of another type than its values"),
        }
        self.levels.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::lake::{Column, Row as _, UsageRow};

    const USAGE: Table = UsageRow::TABLE;

    fn rows(range: std::ops::Range<i64>) -> impl Iterator<Item = Vec<Value>> {
        range.map(|number| {
            let text = |text: &str| Value::Text(format!("{text}{number}"));
            let mut row = vec![text("run"), text("event"), text("org"), text("prj"), Value::Text("meter".to_owned())];
            row.extend([Value::Integer(number), Value::Integer(number * 1000)]);
            row
        })
    }

    fn file(rows: impl Iterator<Item = Vec<Value>>) -> TableFile {
        let mut writer = TableWriter::new(&USAGE, "m").unwrap();
        for row in rows {
            writer.push(row).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn the_same_rows_give_the_same_bytes_however_they_came_together() {
        let whole = file(rows(0..3000));
        assert_eq!(whole.bytes, file(rows(0..3000)).bytes);
        assert_eq!(describe(whole.bytes.clone()).unwrap(), (Some("m".to_owned()), 3000));
        let mut merged = TableWriter::new(&USAGE, "m").unwrap();
        assert_eq!(merged.append(&USAGE, file(rows(0..1000)).bytes).unwrap(), 1000);
        assert_eq!(merged.append(&USAGE, file(rows(1000..3000)).bytes).unwrap(), 2000);
        assert_eq!(merged.finish().unwrap().bytes, whole.bytes);
    }

    #[test]
    fn what_does_not_fit_the_columns_is_refused() {
        let mut writer = TableWriter::new(&USAGE, "m").unwrap();
        assert!(writer.push(vec![Value::Null]).is_err());
        let mut row = rows(0..1).next().unwrap();
        row[0] = Value::Null;
        assert!(writer.push(row.clone()).unwrap_err().to_string().contains("required"));
        row[0] = Value::Integer(1);
        assert!(TableWriter::new(&USAGE, "m").unwrap().push(row).is_err());
        assert!(TableWriter::new(&USAGE, "m").unwrap().append(&USAGE, Bytes::from_static(b"PAR1")).is_err());
    }

    #[test]
    fn large_groups_are_split_and_nulls_survive() {
        let mut writer = TableWriter::new(&FEW, "m").unwrap();
        for number in 0..GROUP_ROWS + 5 {
            let text = if number % 3 == 0 { Value::Null } else { Value::Text(number.to_string()) };
            writer.push(vec![text, Value::Boolean(number % 2 == 0)]).unwrap();
        }
        let file = writer.finish().unwrap();
        let reader = SerializedFileReader::new(file.bytes.clone()).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        // A column that was added since is null in older rows.
        let newer = Table { columns: MORE, ..FEW };
        let mut writer = TableWriter::new(&newer, "m").unwrap();
        assert_eq!(writer.append(&newer, file.bytes).unwrap(), file.rows);
        let read = SerializedFileReader::new(writer.finish().unwrap().bytes).unwrap();
        let row = read.get_row_iter(None).unwrap().nth(4).unwrap().unwrap();
        assert_eq!(row.to_string(), "{b: true, c: null, a: \"4\"}");
    }

    const A: Column = Column { name: "a", kind: Kind::Text, required: false, meaning: "" };
    const B: Column = Column { name: "b", kind: Kind::Boolean, required: false, meaning: "" };
    const C: Column = Column { name: "c", kind: Kind::Time, required: false, meaning: "" };
    const FEW: Table = Table { name: "few", meaning: "", key: &[], columns: &[A, B] };
    const MORE: &[Column] = &[B, C, A];
}
