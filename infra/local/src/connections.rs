//! The database, the broker and the store of one service: typed for a service in this process, as flags for a program.

use clap::ValueEnum;
use std::net::Ipv4Addr;

use collector::{CollectorConfig, CollectorSettings};
use database::PostgresConfig;
use executor::{ExecutorConfig, ExecutorSettings};
use infra::amqp::AmqpConfig;
use infra::config::from_environment;
use infra::keyring::KeyringConfig;
use infra::ops::OpsConfig;
use infra::s3::S3Config;
use ingest::IngestConfig;
use ingest::config::ApiConfig;
use metering::{MeteringConfig, MeteringSettings};

use crate::servers::{NEEDED_BYTES, Role, Servers};

/// The bucket of everything that is stored.
pub const BUCKET: &str = "crownest";
/// Connections of each service; the private PostgreSQL allows 200.
const POOL: u16 = 10;

#[derive(Debug, Clone)]
pub struct Connections {
    pub postgres: PostgresConfig,
    pub amqp: AmqpConfig,
    /// Metering needs none.
    pub s3: S3Config,
    pub ops: OpsConfig,
}

impl Connections {
    /// To the private servers, with the rights of this role.
    pub fn on(servers: &Servers, role: Role) -> anyhow::Result<Self> {
        Ok(Self {
            postgres: PostgresConfig { database_url: servers.postgres_url(role), database_pool: POOL },
            amqp: AmqpConfig { amqp_url: servers.amqp_url(), names: from_environment()? },
            s3: servers.s3().config(BUCKET),
            // Each service takes a free port: one address in the environment would not do for four.
            ops: OpsConfig { ops_listen: (Ipv4Addr::LOCALHOST, 0).into() },
        })
    }

    /// The same, with so many bytes kept back on the disk of the private store for what is sealed; 0: none.
    #[must_use]
    pub fn keeping_back(mut self, servers: &Servers, reserve: u64) -> Self {
        if reserve > 0 {
            self.s3.s3_disk = Some(servers.seaweedfs.folder().to_owned());
            self.s3.s3_reserve_bytes = reserve.saturating_add(NEEDED_BYTES);
        }
        self
    }

    pub fn ingest(self, keyring: KeyringConfig, api: ApiConfig) -> IngestConfig {
        let Self { postgres, amqp, s3, ops } = self;
        IngestConfig { postgres, amqp, s3, ops, keyring, api }
    }

    pub fn executor(self, keyring: KeyringConfig, settings: ExecutorSettings) -> ExecutorConfig {
        let Self { postgres, amqp, s3, ops } = self;
        ExecutorConfig { postgres, amqp, s3, ops, keyring, settings }
    }

    pub fn collector(self, settings: CollectorSettings) -> CollectorConfig {
        let Self { postgres, amqp, s3, ops } = self;
        CollectorConfig { postgres, amqp, s3, ops, settings }
    }

    pub fn metering(self, settings: MeteringSettings) -> MeteringConfig {
        let Self { postgres, amqp, ops, .. } = self;
        MeteringConfig { postgres, amqp, ops, settings }
    }

    /// The beginning of a command line.
    pub fn flags(&self) -> Vec<String> {
        let mut flags = self.flags_without_store();
        flags.extend(pairs([
            ("--s3-endpoint", &self.s3.s3_endpoint),
            ("--s3-region", &self.s3.s3_region),
            ("--s3-bucket", &self.s3.s3_bucket),
            ("--s3-access-key", &self.s3.s3_access_key),
            ("--s3-secret-key", self.s3.s3_secret_key.reveal()),
            ("--s3-checksums", &word(&self.s3.s3_checksums)),
        ]));
        if let Some(folder) = &self.s3.s3_disk {
            let bytes = self.s3.s3_reserve_bytes.to_string();
            flags.extend(pairs([("--s3-disk", &folder.display().to_string()), ("--s3-reserve-bytes", &bytes)]));
        }
        flags
    }

    /// The beginning of metering's command line: metering has no store.
    pub fn flags_without_store(&self) -> Vec<String> {
        pairs([
            ("--database-url", self.postgres.database_url.reveal()),
            ("--database-pool", &self.postgres.database_pool.to_string()),
            ("--amqp-url", self.amqp.amqp_url.reveal()),
            ("--amqp-prefix", &self.amqp.names.amqp_prefix),
            ("--pool", &self.amqp.names.pool),
            ("--ops-listen", &self.ops.ops_listen.to_string()),
        ])
    }
}

/// A value as its flag spells it.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

pub(crate) fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<String> {
    pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()]).collect()
}
