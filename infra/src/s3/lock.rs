//! S3 Object Lock: until its retention is over, a locked object can be neither deleted nor replaced, not even with the
//! keys of the store.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumAlgorithm, ObjectLockEnabled, ObjectLockMode};
use clap::{Args, ValueEnum};

use super::store::{Store, StoreError};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LockMode {
    /// Users who may bypass governance may still delete
    Governance,
    /// Nobody may delete
    Compliance,
}

#[derive(Debug, Clone, Default, Args)]
pub struct ObjectLockConfig {
    /// Lock evidence, statements and event logs in the store; the bucket must have S3 Object Lock enabled
    #[arg(long, env = "CROWNEST_OBJECT_LOCK_MODE", value_name = "MODE", requires = "object_lock_days")]
    pub object_lock_mode: Option<LockMode>,
    /// Days of the lock, counted from the seal
    #[arg(long, env = "CROWNEST_OBJECT_LOCK_DAYS", value_name = "DAYS", requires = "object_lock_mode",
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub object_lock_days: Option<u32>,
}

/// Lock of new objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    mode: LockMode,
    days: u32,
}

impl ObjectLockConfig {
    pub fn lock(&self) -> Option<ObjectLock> {
        Some(ObjectLock { mode: self.object_lock_mode?, days: self.object_lock_days? })
    }
}

impl ObjectLock {
    pub(super) fn apply(self, put: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        let mode = match self.mode {
            LockMode::Governance => ObjectLockMode::Governance,
            LockMode::Compliance => ObjectLockMode::Compliance,
        };
        let until = DateTime::from(SystemTime::now() + DAY * self.days);
        // S3 requires a checksum of bytes that it must keep.
        put.object_lock_mode(mode).object_lock_retain_until_date(until).checksum_algorithm(ChecksumAlgorithm::Crc32)
    }
}

impl Store {
    /// Returns a handle to this bucket that locks new objects.
    #[must_use]
    pub fn locking(&self, lock: Option<ObjectLock>) -> Self {
        Self { lock, ..self.clone() }
    }

    /// True if this handle locks new objects.
    pub fn locks(&self) -> bool {
        self.lock.is_some()
    }

    /// Asks the store whether objects of this bucket can be locked.
    pub async fn has_object_lock(&self) -> Result<bool, StoreError> {
        match self.client.get_object_lock_configuration().bucket(&self.bucket).send().await {
            Ok(answer) => {
                let enabled = answer.object_lock_configuration.and_then(|found| found.object_lock_enabled);
                Ok(enabled == Some(ObjectLockEnabled::Enabled))
            }
            Err(error) if error.code() == Some("ObjectLockConfigurationNotFoundError") => Ok(false),
            Err(error) => Err(StoreError::from_sdk("reading the Object Lock configuration", &self.bucket, error)),
        }
    }
}
