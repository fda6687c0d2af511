//! Configuration of the collector.

use std::time::Duration;

use clap::Args;
use database::PostgresConfig;
use infra::amqp::AmqpConfig;
use infra::ops::OpsConfig;
use infra::s3::{ObjectLockConfig, S3Config};

use crate::followers::evidence_log::EvidenceLogConfig;
use crate::followers::lake::{IcebergConfig, TablesConfig};
use crate::signing::SigningConfig;

#[derive(Debug, Clone, Args)]
pub struct CollectorConfig {
    #[command(flatten)]
    pub postgres: PostgresConfig,
    #[command(flatten)]
    pub amqp: AmqpConfig,
    #[command(flatten)]
    pub s3: S3Config,
    #[command(flatten)]
    pub ops: OpsConfig,
    #[command(flatten)]
    pub settings: CollectorSettings,
}

/// Everything that is optional by itself.
#[derive(Debug, Clone, Args)]
pub struct CollectorSettings {
    #[command(flatten)]
    pub signing: SigningConfig,
    #[command(flatten)]
    pub evidence_log: EvidenceLogConfig,
    #[command(flatten)]
    pub tables: TablesConfig,
    #[command(flatten)]
    pub iceberg: IcebergConfig,
    /// Bytes of an unsealed event log that move from the database to the object store as one part
    // Readers take indexes of 64 MiB, which the smallest segments would fill at about 100 MiB.
    #[arg(long, env = "CROWNEST_COLLECTOR_PART_BYTES", default_value_t = 8 * 1024 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(65_536..=67_108_864))]
    pub part_bytes: u64,
    /// Time that the segments of a sealed run stay in the database for live readers, in milliseconds
    #[arg(long, env = "CROWNEST_COLLECTOR_SEGMENT_RETENTION_MS", default_value_t = 600_000, value_name = "MS")]
    pub segment_retention_ms: u64,
    #[command(flatten)]
    pub object_lock: ObjectLockConfig,
    /// Interval between looks for artifacts whose retention is over, and for legal holds that the store is to get or
    /// lose, in milliseconds
    #[arg(long, env = "CROWNEST_COLLECTOR_RETENTION_SWEEP_MS", default_value_t = 5_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    pub retention_sweep_ms: u64,
    /// Time to finish accepted work after a shutdown request, in milliseconds
    #[arg(long, env = "CROWNEST_COLLECTOR_DRAIN_MS", default_value_t = 20_000, value_name = "MS")]
    pub drain_ms: u64,
}

impl CollectorSettings {
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
