//! One table in the catalog: loads it, creates it if it is missing, and commits snapshots until it has all wanted
//! files.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use database::row::signed;
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::s3::{Put, Store, StoreError};
use schemas::lake::{FileName, Table};
use serde_json::{Value, json};

use super::catalog::{Catalog, CatalogError};
use super::clean_up::CleanUp;
use super::manifest::{self, ManifestFile};
use super::metadata::{self, MAIN, Metadata, NAME_MAPPING};
use super::plan::{Change, Operation, Rows, changes};
use super::state::{self, Manifest, Rewrite};
use super::summary::summary;

const CONTENT_TYPE: &str = "application/avro";
const CONCURRENT_LOOKUPS: usize = 8;

/// The catalog's state of a table as the collector knows it; forgotten when a commit fails.
#[derive(Debug)]
pub(super) struct IcebergTable {
    table: &'static Table,
    metadata: Metadata,
    manifests: Vec<Manifest>,
}

/// A snapshot that is written and not committed.
#[derive(Debug)]
struct Draft {
    /// Location of the manifest list.
    list: String,
    manifests: Vec<Manifest>,
    /// Keys of all objects that were written for it.
    keys: Vec<String>,
}

impl IcebergTable {
    /// Opens the table as it is now; `known` is its state from the last time.
    pub(super) async fn open(
        catalog: &mut Catalog,
        store: &Store,
        table: &'static Table,
        known: Option<Self>,
    ) -> anyhow::Result<Self> {
        let loaded = match catalog.load(table.name).await? {
            Some(loaded) => loaded,
            None => match catalog.create(&metadata::creation(table)).await? {
                Some(created) => created,
                None => catalog.load(table.name).await?.context("the table was there, and is gone")?,
            },
        };
        let mut metadata = loaded.metadata;
        if metadata.lacks_columns(table)? {
            metadata = add_columns(catalog, table, &metadata).await?;
            ensure!(!metadata.lacks_columns(table)?, "the catalog did not add the columns to `{}`", table.name);
        }
        let manifests = match (metadata.current(), known) {
            (None, _) => Vec::new(),
            (Some(current), Some(known)) if known.metadata.current() == Some(current) => known.manifests,
            (Some(current), _) => manifests(store, table, &current.manifest_list).await?,
        };
        Ok(Self { table, metadata, manifests })
    }

    /// Commits what is missing; returns the operation of each snapshot.
    pub(super) async fn register(
        &mut self,
        catalog: &mut Catalog,
        store: &Store,
        wanted: &Rows,
        keep: Duration,
    ) -> anyhow::Result<Vec<Operation>> {
        let mut changes = changes(&state::rows(&self.manifests), wanted);
        if self.manifests.is_empty() && self.metadata.current().is_some() {
            // Files that somebody else has committed go.
            for change in &mut changes {
                change.operation = Operation::Overwrite;
            }
        }
        for change in &changes {
            self.commit(catalog, store, change, keep).await?;
        }
        Ok(changes.into_iter().map(|change| change.operation).collect())
    }

    async fn commit(
        &mut self,
        catalog: &mut Catalog,
        store: &Store,
        change: &Change,
        keep: Duration,
    ) -> anyhow::Result<()> {
        let sizes = sizes(store, &change.added).await?;
        let id = snapshot_id()?;
        let Draft { list, manifests, keys } = self.draft(store, change, &sizes, id).await?;
        let parent = self.metadata.current().map(|parent| parent.id);
        let timestamp = now_ms().max(self.metadata.last_updated_ms);
        let mut snapshot = json!({
            "snapshot-id": id, "sequence-number": self.next_sequence_number(), "timestamp-ms": timestamp,
            "manifest-list": list, "summary": summary(change, &sizes, &self.manifests, &manifests),
            "schema-id": self.metadata.current_schema_id,
        });
        if let Some(parent) = parent {
            snapshot["parent-snapshot-id"] = parent.into();
        }
        let ended = self.ended(change.operation, timestamp, keep);
        match self.send(catalog, parent, &snapshot, &ended).await {
            Ok(metadata) => {
                let before = std::mem::replace(&mut self.metadata, metadata);
                self.manifests = manifests;
                CleanUp { store, table: self.table, before: &before, now: &self.metadata, manifests: &self.manifests }
                    .run(&ended)
                    .await;
                Ok(())
            }
            Err(error) => {
                // Without a refusal the snapshot may be there, now or in a moment.
                for key in keys.iter().filter(|_| error.is_refusal()) {
                    let _ = store.delete(key).await;
                }
                Err(error.into())
            }
        }
    }

    fn next_sequence_number(&self) -> i64 {
        self.metadata.last_sequence_number + 1
    }

    /// Writes the manifests of a snapshot and their list, which the catalog does not know yet.
    async fn draft(
        &self,
        store: &Store,
        change: &Change,
        sizes: &BTreeMap<FileName, u64>,
        snapshot: i64,
    ) -> anyhow::Result<Draft> {
        let (spec_id, ids) = (self.metadata.default_spec_id, (snapshot, self.next_sequence_number()));
        let folder = format!("iceberg/{}-{}", self.table.name, self.metadata.table_uuid);
        let mut schema = self.table.iceberg_schema();
        schema["schema-id"] = self.metadata.current_schema_id.into();
        let Rewrite { kept: mut manifests, new } = state::rewrite(store, &self.manifests, change, sizes, ids);
        let mut keys = Vec::new();
        for (number, new) in new.into_iter().enumerate() {
            let key = format!("{folder}/{snapshot:016x}-{number}.avro");
            let bytes = manifest::manifest(&schema, spec_id, &new.entries)?;
            let length = bytes.len();
            put(store, &key, bytes).await?;
            manifests.push(new.written(state::location(store, &key), length, spec_id, ids));
            keys.push(key);
        }
        manifests.sort_by_key(|manifest| manifest.day);
        let about: Vec<ManifestFile> = manifests.iter().map(|manifest| manifest.about.clone()).collect();
        let parent = self.metadata.current().map(|parent| parent.id);
        let list = format!("{folder}/{snapshot:016x}.avro");
        put(store, &list, manifest::manifest_list(snapshot, parent, ids.1, &about)?).await?;
        keys.push(list.clone());
        Ok(Draft { list: state::location(store, &list), manifests, keys })
    }

    async fn send(
        &self,
        catalog: &mut Catalog,
        parent: Option<i64>,
        snapshot: &Value,
        ended: &[i64],
    ) -> Result<Metadata, CatalogError> {
        let requirements = [
            json!({ "type": "assert-table-uuid", "uuid": self.metadata.table_uuid }),
            json!({ "type": "assert-ref-snapshot-id", "ref": MAIN, "snapshot-id": parent }),
        ];
        let mut updates = vec![
            json!({ "action": "add-snapshot", "snapshot": snapshot }),
            json!({ "action": "set-snapshot-ref", "ref-name": MAIN, "type": "branch",
                    "snapshot-id": snapshot["snapshot-id"] }),
        ];
        if !ended.is_empty() {
            updates.push(json!({ "action": "remove-snapshots", "snapshot-ids": ended }));
        }
        Ok(catalog.commit(self.table.name, &requirements, &updates).await?.metadata)
    }

    /// Former snapshots that end with this one: the old ones, or all if it removes files. Those that somebody named
    /// stay.
    fn ended(&self, operation: Operation, now: i64, keep: Duration) -> Vec<i64> {
        let oldest = now.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let all = operation != Operation::Append;
        let ended = self.metadata.snapshots.iter().filter(|snapshot| all || snapshot.timestamp_ms < oldest);
        let ended = ended.filter(|snapshot| !self.metadata.is_named(snapshot.id));
        ended.map(|snapshot| snapshot.id).collect()
    }
}

/// Loads the manifests. A table whose manifests are gone cannot be read, and is registered anew.
async fn manifests(store: &Store, table: &Table, list: &str) -> anyhow::Result<Vec<Manifest>> {
    match state::load(store, list).await {
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::NotFound(_))) => {
            tracing::warn!(table = table.name, error = %format!("{error:#}"), "the manifests of a table are gone; writing them anew");
            Ok(Vec::new())
        }
        loaded => loaded,
    }
}

/// The sizes of the files in bytes. Fails if one is gone.
async fn sizes(store: &Store, files: &Rows) -> anyhow::Result<BTreeMap<FileName, u64>> {
    let sizes = files.keys().map(|file| async move {
        let size = store.size(&file.to_string()).await?;
        anyhow::Ok((*file, size.with_context(|| format!("`{file}` is gone"))?))
    });
    let sizes: Vec<_> = sizes.collect();
    stream::iter(sizes).buffered(CONCURRENT_LOOKUPS).try_collect().await
}

async fn put(store: &Store, key: &str, bytes: bytes::Bytes) -> anyhow::Result<()> {
    ensure!(store.put_new(key, bytes, CONTENT_TYPE).await? == Put::Created, "`{key}` exists");
    Ok(())
}

async fn add_columns(catalog: &mut Catalog, table: &Table, metadata: &Metadata) -> anyhow::Result<Metadata> {
    let requirements = [
        json!({ "type": "assert-table-uuid", "uuid": metadata.table_uuid }),
        json!({ "type": "assert-current-schema-id", "current-schema-id": metadata.current_schema_id }),
    ];
    let updates = [
        json!({ "action": "add-schema", "schema": table.iceberg_schema(), "last-column-id": table.last_field_id() }),
        // -1 is the schema that was just added.
        json!({ "action": "set-current-schema", "schema-id": -1 }),
        json!({ "action": "set-properties", "updates": { NAME_MAPPING: table.name_mapping() } }),
    ];
    Ok(catalog.commit(table.name, &requirements, &updates).await?.metadata)
}

/// Positive and random, so that concurrent commits have different ids.
fn snapshot_id() -> anyhow::Result<i64> {
    let random = getrandom::u64().map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(signed(random >> 1).max(1))
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
