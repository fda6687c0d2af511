//! Deletes what only former snapshots of a table needed. An object that cannot be deleted stays, and harms nobody.

use std::collections::BTreeSet;

use infra::s3::Store;
use schemas::lake::Table;

use super::manifest::{self, ManifestFile};
use super::metadata::Metadata;
use super::state::{self, Manifest};

/// A table before and after a commit.
pub(super) struct CleanUp<'a> {
    pub store: &'a Store,
    pub table: &'a Table,
    pub before: &'a Metadata,
    pub now: &'a Metadata,
    /// The manifests of the current snapshot.
    pub manifests: &'a [Manifest],
}

impl CleanUp<'_> {
    /// `ended` are the snapshots that the commit removed.
    pub(super) async fn run(&self, ended: &[i64]) {
        let table = self.table.name;
        if let Err(error) = self.delete_unneeded(ended).await {
            tracing::warn!(table, error = %format!("{error:#}"), "cannot clean up after former snapshots; leaving their files");
        }
        let kept: BTreeSet<&str> = self.now.former.iter().map(|former| &*former.metadata_file).collect();
        for former in self.before.former.iter().filter(|former| !kept.contains(&*former.metadata_file)) {
            // The catalog may keep its files where we have no access.
            if let Some((bucket, key)) = former.metadata_file.strip_prefix("s3://").and_then(|at| at.split_once('/'))
                && let Err(error) = self.store.in_bucket(bucket).delete(key).await
            {
                tracing::debug!(table, %error, "cannot delete a former metadata file; leaving it");
            }
        }
    }

    async fn delete_unneeded(&self, ended: &[i64]) -> anyhow::Result<()> {
        let mut needed: BTreeSet<String> =
            self.manifests.iter().map(|manifest| manifest.about.manifest_path.clone()).collect();
        // An older manifest that the oldest unnamed snapshot lacks is in no younger unnamed snapshot either.
        let (named, others): (Vec<_>, Vec<_>) =
            self.now.snapshots.iter().partition(|snapshot| self.now.is_named(snapshot.id));
        let oldest = others.into_iter().min_by_key(|snapshot| snapshot.timestamp_ms);
        for snapshot in named.into_iter().chain(oldest) {
            needed.extend(self.listed(&snapshot.manifest_list).await?);
        }
        let mut unneeded = BTreeSet::new();
        for snapshot in self.before.snapshots.iter().filter(|snapshot| ended.contains(&snapshot.id)) {
            unneeded.extend(self.listed(&snapshot.manifest_list).await?);
            unneeded.insert(snapshot.manifest_list.clone());
        }
        for location in unneeded.difference(&needed) {
            if let Some(key) = state::key(self.store, location) {
                self.store.delete(key).await?;
            }
        }
        Ok(())
    }

    /// The manifests in a list, if the list is in our bucket.
    async fn listed(&self, list: &str) -> anyhow::Result<Vec<String>> {
        let Some(key) = state::key(self.store, list) else { return Ok(Vec::new()) };
        let manifests = manifest::read::<ManifestFile>(&self.store.get(key).await?)?;
        Ok(manifests.into_iter().map(|manifest| manifest.manifest_path).collect())
    }
}
