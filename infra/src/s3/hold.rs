//! S3 legal holds: a held object cannot be deleted, whatever its retention and whoever has the keys of the store, until
//! the hold is cleared.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{ObjectLockLegalHold, ObjectLockLegalHoldStatus};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::store::{Store, StoreError};

/// Maximum concurrent requests for one folder.
const CONCURRENT: usize = 8;
/// Deadline of one request. A folder as a whole has none, so that a large folder can be finished, too.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegalHold {
    On,
    Off,
}

impl Store {
    /// Sets or clears the hold of all versions of all objects in a folder, and returns the number of versions.
    /// Repeating a call changes nothing. A version that disappears meanwhile is an error: a retry does not find it any
    /// more.
    pub async fn hold_folder(&self, folder: &str, hold: LegalHold) -> Result<usize, StoreError> {
        let prefix = format!("{folder}/");
        let found = self.within_deadline(&prefix, self.versions_under(&prefix)).await?;
        // A delete marker has neither bytes nor a hold.
        let versions: Vec<_> = found.into_iter().filter(|(_, version)| !version.is_marker).collect();
        let count = versions.len();
        stream::iter(versions)
            .map(|(key, version)| async move {
                self.within_deadline(&key, self.hold_version(&key, &version.id, hold)).await
            })
            .buffer_unordered(CONCURRENT)
            .try_collect::<()>()
            .await?;
        Ok(count)
    }

    /// The hold of each version of an object, without delete markers.
    pub async fn legal_holds(&self, key: &str) -> Result<Vec<LegalHold>, StoreError> {
        let mut found = Vec::new();
        for version in self.versions(key).await?.into_iter().filter(|version| !version.is_marker) {
            let get = self.client.get_object_legal_hold().bucket(&self.bucket).key(key).version_id(&version.id);
            let status = match get.send().await {
                Ok(answer) => answer.legal_hold.and_then(|hold| hold.status),
                // S3 answers the first for a version that never had a hold, SeaweedFS the second.
                Err(error)
                    if matches!(error.code(), Some("NoSuchObjectLockConfiguration" | "NoSuchObjectLegalHold")) =>
                {
                    None
                }
                Err(error) => return Err(StoreError::from_sdk("reading the legal hold", key, error)),
            };
            found.push(if status == Some(ObjectLockLegalHoldStatus::On) { LegalHold::On } else { LegalHold::Off });
        }
        Ok(found)
    }

    async fn hold_version(&self, key: &str, id: &str, hold: LegalHold) -> Result<(), StoreError> {
        let status = match hold {
            LegalHold::On => ObjectLockLegalHoldStatus::On,
            LegalHold::Off => ObjectLockLegalHoldStatus::Off,
        };
        let put = self.client.put_object_legal_hold().bucket(&self.bucket).key(key).version_id(id);
        let sent = put.legal_hold(ObjectLockLegalHold::builder().status(status).build()).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk("setting the legal hold", key, error))
    }

    async fn within_deadline<T>(
        &self,
        key: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let late = |_| StoreError::Request {
            action: "setting the legal hold",
            key: key.to_owned(),
            reason: format!("no answer within {} s", DEADLINE.as_secs()).into(),
        };
        tokio::time::timeout(DEADLINE, work).await.map_err(late)?
    }
}
