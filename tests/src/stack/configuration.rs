//! The configuration of one test's services: typed connections, and settings as the flags that tests spell.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;
use collector::CollectorConfig;
use database::PostgresConfig;
use executor::ExecutorConfig;
use infra::amqp::{AmqpConfig, AmqpNames};
use infra::config::{Secret, from_environment, from_flags};
use infra::keyring::KeyringConfig;
use infra::ops::OpsConfig;
use ingest::IngestConfig;
use local::Connections;
use metering::MeteringConfig;

use super::{Stack, bucket, database};
use crate::SIGNING_KEY;

/// Executors of one test have user ids of their own: far below the default, far above people.
const FIRST_UID: u32 = 600_000;
const UIDS_OF_TEST: u32 = 1_000;
const UIDS_OF_EXECUTOR: u32 = 100;

/// Settings with these flags; the rest is as in production.
pub(super) fn settings<T: Args>(flags: &[String]) -> T {
    from_flags(flags).unwrap_or_else(|error| panic!("{error}"))
}

impl Stack {
    pub(super) fn ingest_config(&self) -> IngestConfig {
        let flags = [words(&["--listen", "127.0.0.1:0"]), self.ingest_settings()].concat();
        self.connections(&self.lease.access.ingest_url).ingest(self.ingest_keyring(), settings(&flags))
    }

    pub(super) fn ingest_flags(&self, listen: &str) -> Vec<String> {
        let connections = self.connections(&self.lease.access.ingest_url).flags();
        [connections, words(&["--listen", listen]), flags_of(&self.ingest_keyring()), self.ingest_settings()].concat()
    }

    fn ingest_settings(&self) -> Vec<String> {
        let flags = self.options.ingest_flags.iter();
        flags.map(|flag| flag.replace("STORE_ENDPOINT", self.store_endpoint())).collect()
    }

    pub(super) fn collector_config(&self) -> CollectorConfig {
        let settings = settings(&self.collector_settings(SIGNING_KEY));
        self.connections(&self.lease.access.collector_url).collector(settings)
    }

    /// The command line of a collector.
    pub fn collector_flags(&self, signing_key: &str) -> Vec<String> {
        let connections = self.connections(&self.lease.access.collector_url).flags();
        [connections, self.collector_settings(signing_key)].concat()
    }

    fn collector_settings(&self, signing_key: &str) -> Vec<String> {
        let mut flags = Vec::new();
        // A test may sign in another way.
        if !self.options.collector_flags.iter().any(|flag| flag == "--signing-command") {
            flags.push(format!("--signing-key={signing_key}"));
        }
        flags.extend(self.options.object_lock.clone());
        flags.extend(self.options.collector_flags.clone());
        flags
    }

    /// Registers the tables in the shared Iceberg catalog, in a namespace of this test.
    pub fn iceberg_flags(&self) -> Vec<String> {
        let access = &self.lease.access;
        vec![
            format!("--iceberg-uri={}", access.iceberg_uri),
            format!("--iceberg-warehouse={}", access.iceberg_warehouse),
            format!("--iceberg-credential={}:{}", access.s3_access_key, access.s3_secret_key),
            format!("--iceberg-namespace=test_{}", access.number),
        ]
    }

    pub(super) fn metering_config(&self) -> MeteringConfig {
        self.connections(&self.lease.access.metering_url).metering(settings(&metering_settings()))
    }

    pub(super) fn metering_flags(&self) -> Vec<String> {
        let connections = self.connections(&self.lease.access.metering_url).flags_without_store();
        [connections, metering_settings()].concat()
    }

    pub(super) fn executor_config(&self) -> ExecutorConfig {
        let settings = settings(&self.executor_settings());
        self.connections(&self.lease.access.executor_url).executor(self.executor_keyring(), settings)
    }

    pub(super) fn executor_flags(&self) -> Vec<String> {
        let connections = self.connections(&self.lease.access.executor_url).flags();
        [connections, flags_of(&self.executor_keyring()), self.executor_settings()].concat()
    }

    /// Each call is another executor.
    fn executor_settings(&self) -> Vec<String> {
        let number = self.executors.fetch_add(1, Ordering::Relaxed);
        let uid = FIRST_UID + self.lease.access.number * UIDS_OF_TEST + number * UIDS_OF_EXECUTOR;
        let mut flags = words(&["--slots", &self.options.slots.to_string(), "--uid-base", &uid.to_string()]);
        flags.extend(words(&["--engine", self.options.engine]));
        flags.extend(words(&["--work-dir", &self.work_dir(number).display().to_string()]));
        flags.extend(self.options.executor_flags.clone());
        flags
    }

    pub fn work_dir(&self, executor: u32) -> PathBuf {
        self.folder.path().join(format!("executor-{executor}"))
    }

    fn ingest_keyring(&self) -> KeyringConfig {
        self.keyring("ingest", self.options.ingest_env_keys)
    }

    fn executor_keyring(&self) -> KeyringConfig {
        self.keyring("executor", self.options.executor_env_keys)
    }

    fn keyring(&self, service: &str, keys: Option<&str>) -> KeyringConfig {
        let path = self.folder.path().join(format!("{service}-env-keys"));
        let write = |keys| std::fs::write(&path, keys).expect("a key file can be written");
        keys.filter(|_| !path.exists()).map(write);
        KeyringConfig { env_key_file: keys.map(|_| path) }
    }

    pub(super) fn amqp_config(&self) -> AmqpConfig {
        let access = &self.lease.access;
        let names: AmqpNames = from_environment().expect("names have defaults");
        AmqpConfig {
            amqp_url: Secret::new(self.options.amqp_url.as_ref().unwrap_or(&access.amqp_url)),
            names: AmqpNames { amqp_prefix: format!("t{}", access.number), ..names },
        }
    }

    fn connections(&self, database_url: &str) -> Connections {
        let database_url = Secret::new(database_url.replace("DATABASE", &database(&self.lease)));
        Connections {
            postgres: PostgresConfig { database_url, database_pool: 4 },
            amqp: self.amqp_config(),
            s3: self.lease.access.store().config(&bucket(&self.lease)),
            ops: OpsConfig { ops_listen: (Ipv4Addr::LOCALHOST, 0).into() },
        }
    }
}

fn metering_settings() -> Vec<String> {
    words(&["--sweep-ms", "500"])
}

fn flags_of(keyring: &KeyringConfig) -> Vec<String> {
    let path = keyring.env_key_file.as_ref().map(|path| path.display().to_string());
    path.map(|path| words(&["--env-key-file", &path])).unwrap_or_default()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
