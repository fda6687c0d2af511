//! Deletes an object for good, with all its versions where the bucket keeps them, unless the store locks one of them.

use std::time::SystemTime;

use aws_sdk_s3::types::ObjectLockLegalHoldStatus;

use super::store::{Store, StoreError};

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purged {
    /// Nothing of it is left, or there was nothing.
    Gone,
    /// Object Lock keeps a version of it: until then, or for as long as a legal hold lasts. Nothing was deleted.
    Locked { until: Option<SystemTime> },
}

impl Store {
    /// Deletes all versions of the object. What is locked is not even tried: a version under retention could be deleted by
    /// whoever may bypass governance.
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

    /// What a bucket keeps under a key, however often it was deleted or replaced.
    pub async fn version_ids(&self, key: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.versions(key).await?.into_iter().map(|version| version.id).collect())
    }

    /// Refused by the store if it is locked.
    pub async fn delete_version(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).version_id(id).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk("deleting", key, error))
    }

    /// Of this very key, delete markers too. Without versioning the object is the version `null`.
    async fn versions(&self, key: &str) -> Result<Vec<Version>, StoreError> {
        let (mut found, mut after) = (Vec::new(), (None, None));
        loop {
            let list = self.client.list_object_versions().bucket(&self.bucket).prefix(key);
            let page = list.set_key_marker(after.0).set_version_id_marker(after.1).send().await;
            let page = page.map_err(|error| StoreError::from_sdk("listing the versions", key, error))?;
            let versions = page.versions().iter().filter(|version| version.key() == Some(key));
            found.extend(versions.filter_map(|version| Version::new(version.version_id(), false)));
            let markers = page.delete_markers().iter().filter(|marker| marker.key() == Some(key));
            found.extend(markers.filter_map(|marker| Version::new(marker.version_id(), true)));
            // The key sorts before all others that begin with it.
            if page.is_truncated() != Some(true) || page.next_key_marker() != Some(key) {
                return Ok(found);
            }
            after = (page.next_key_marker, page.next_version_id_marker);
        }
    }

    async fn lock_of(&self, key: &str, version: &Version) -> Result<Option<Purged>, StoreError> {
        if version.is_marker {
            return Ok(None);
        }
        let head = self.client.head_object().bucket(&self.bucket).key(key).version_id(&version.id).send().await;
        let head = match head {
            Ok(head) => head,
            // Deleted by somebody else meanwhile.
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
struct Version {
    id: String,
    is_marker: bool,
}

impl Version {
    fn new(id: Option<&str>, is_marker: bool) -> Option<Self> {
        Some(Self { id: id?.to_owned(), is_marker })
    }
}
