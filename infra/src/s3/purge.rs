//! Deletion of an object for good, with all versions that the bucket keeps, unless the store locks one of them.

use std::time::SystemTime;

use aws_sdk_s3::types::ObjectLockLegalHoldStatus;

use super::store::{Store, StoreError};

/// Outcome of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purged {
    /// No version is left, or there was none.
    Gone,
    /// Object Lock keeps a version until the given time, or for as long as a legal hold lasts. Nothing was deleted.
    Locked { until: Option<SystemTime> },
}

impl Store {
    /// Deletes all versions of the object. A locked version is not even tried, since a user who may bypass governance
    /// could delete a version under retention.
    pub async fn purge(&self, key: &str) -> Result<Purged, StoreError> {
        let versions = self.versions(key).await?;
        for version in &versions {
            if let Some(locked) = self.lock_of(key, version).await? {
                return Ok(locked);
            }
        }
        for version in versions {
            self.delete_version(key, &version.id).await?;
        }
        Ok(Purged::Gone)
    }

    /// Ids of all versions that the bucket keeps under a key, however often it was deleted or replaced.
    pub async fn version_ids(&self, key: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.versions(key).await?.into_iter().map(|version| version.id).collect())
    }

    /// Deletes one version; the store refuses if the version is locked.
    pub async fn delete_version(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).version_id(id).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk("deleting", key, error))
    }

    /// Versions of exactly this key, delete markers too. Without versioning, the object is the version `null`.
    pub(super) async fn versions(&self, key: &str) -> Result<Vec<Version>, StoreError> {
        let (mut found, mut after) = (Vec::new(), Some(Marker::default()));
        while let Some(marker) = after {
            let (page, next) = self.version_page(key, marker).await?;
            found.extend(page.into_iter().filter(|(of, _)| of == key).map(|(_, version)| version));
            // The key sorts before all other keys that begin with it.
            after = next.filter(|next| next.key.as_deref() == Some(key));
        }
        Ok(found)
    }

    /// Versions of all keys that begin with `prefix`, delete markers too.
    pub(super) async fn versions_under(&self, prefix: &str) -> Result<Vec<(String, Version)>, StoreError> {
        let (mut found, mut after) = (Vec::new(), Some(Marker::default()));
        while let Some(marker) = after {
            let (page, next) = self.version_page(prefix, marker).await?;
            found.extend(page);
            after = next;
        }
        Ok(found)
    }

    /// One page of versions after the marker, and the marker of the next page.
    async fn version_page(
        &self,
        prefix: &str,
        after: Marker,
    ) -> Result<(Vec<(String, Version)>, Option<Marker>), StoreError> {
        let list = self.client.list_object_versions().bucket(&self.bucket).prefix(prefix);
        let page = list.set_key_marker(after.key).set_version_id_marker(after.version).send().await;
        let page = page.map_err(|error| StoreError::from_sdk("listing the versions", prefix, error))?;
        let versions = page.versions().iter().map(|version| (version.key(), version.version_id(), false));
        let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id(), true));
        let found = versions
            .chain(markers)
            .filter_map(|(key, id, is_marker)| Some((key?.to_owned(), Version { id: id?.to_owned(), is_marker })));
        let found = found.collect();
        if page.is_truncated() != Some(true) {
            return Ok((found, None));
        }
        if page.next_key_marker.is_none() {
            let reason = "the page is not the last one, but does not say where the next one begins".to_owned().into();
            return Err(StoreError::Request { action: "listing the versions", key: prefix.to_owned(), reason });
        }
        Ok((found, Some(Marker { key: page.next_key_marker, version: page.next_version_id_marker })))
    }

    async fn lock_of(&self, key: &str, version: &Version) -> Result<Option<Purged>, StoreError> {
        if version.is_marker {
            return Ok(None);
        }
        let head = self.client.head_object().bucket(&self.bucket).key(key).version_id(&version.id).send().await;
        let head = match head {
            Ok(head) => head,
            // The version was deleted by somebody else meanwhile.
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 404) => return Ok(None),
            Err(error) => return Err(StoreError::from_sdk("looking up", key, error)),
        };
        if head.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On) {
            return Ok(Some(Purged::Locked { until: None }));
        }
        let until = head.object_lock_retain_until_date().and_then(|until| SystemTime::try_from(*until).ok());
        Ok(until.filter(|until| *until > SystemTime::now()).map(|until| Purged::Locked { until: Some(until) }))
    }
}

#[derive(Debug)]
pub(super) struct Version {
    pub id: String,
    pub is_marker: bool,
}

/// Version after which a page of a listing begins.
#[derive(Debug, Default)]
struct Marker {
    key: Option<String>,
    version: Option<String>,
}
