//! The four services as `crownest up` runs them, on the private servers of one machine. All other settings come from the
//! environment, or are a service's own defaults.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use collector::CollectorSettings;
use collector::lake::{Credential, IcebergConfig};
use executor::ExecutorSettings;
use infra::config::from_environment;
use infra::s3::{self, ObjectLockConfig};
use infra::telemetry::LogConfig;
use ingest::config::ApiConfig;

use crate::connections::{BUCKET, Connections};
use crate::key_files;
use crate::servers::{Role, S3Access, Servers};
use crate::services::Services;

/// The configuration of one machine.
#[derive(Debug)]
pub struct Machine {
    /// Folder of the keys and of the executor's work.
    pub data: PathBuf,
    pub listen: SocketAddr,
    /// `None`: as the environment says, else one for each core.
    pub slots: Option<u16>,
    /// `None`: as the environment says.
    pub iceberg: Option<IcebergConfig>,
    /// Bytes to keep back on the disk of the private store for what is sealed; 0: none.
    pub store_reserve: u64,
    /// Logging of an executor with a process of its own.
    pub log: LogConfig,
}

/// A machine that has started. Its services may not be ready yet.
#[derive(Debug)]
pub struct Started {
    pub services: Services,
    /// The address that the API listens on.
    pub listening: SocketAddr,
    /// The URL of the API on this machine.
    pub api_url: String,
}

impl Machine {
    /// Brings the database and the bucket into being.
    pub async fn prepare(servers: &Servers) -> anyhow::Result<()> {
        database::migrate(&servers.postgres_admin_url()).await.context("the database cannot be migrated")?;
        let lock: ObjectLockConfig = from_environment()?;
        s3::open(&servers.s3().config(BUCKET)).locking(lock.lock()).ensure_bucket().await?;
        Ok(())
    }

    /// Starts the four services on prepared servers.
    pub async fn start(self, servers: &Servers) -> anyhow::Result<Started> {
        let mut services = Services::default();
        let keyring = key_files::keyring(&self.data)?;
        let reserve = self.store_reserve;
        let connections = |role| anyhow::Ok(Connections::on(servers, role)?.keeping_back(servers, reserve));
        // Before the executor: an address that is taken must not cost the runs in the queue an attempt.
        let api = ApiConfig { listen: self.listen, ..from_environment()? };
        let ingest = connections(Role::Ingest)?.ingest(keyring.clone(), api);
        let listening = services.start_ingest(ingest).await?;
        let api_url = format!("http://{}", reachable(listening));

        let mut settings: CollectorSettings = from_environment()?;
        settings.signing = key_files::signing(&self.data)?;
        settings.evidence_log.public_url.get_or_insert_with(|| api_url.clone());
        if let Some(iceberg) = self.iceberg {
            settings.iceberg = iceberg;
        }
        services.start_collector(connections(Role::Collector)?.collector(settings)).await?;
        let metering = Connections::on(servers, Role::Metering)?.metering(from_environment()?);
        services.start_metering(metering).await?;

        let mut settings = ExecutorSettings { work_dir: self.data.join("executor"), ..from_environment()? };
        if let Some(slots) = self.slots {
            settings.slots = slots;
        }
        let executor = connections(Role::Executor)?;
        services.start_own_executor(executor, keyring, settings, &self.log).await?;
        Ok(Started { services, listening, api_url })
    }
}

impl S3Access {
    /// The catalog that the store brings; its client are the store's keys.
    pub fn iceberg(&self) -> anyhow::Result<IcebergConfig> {
        Ok(IcebergConfig {
            iceberg_uri: Some(self.iceberg_uri.parse().context("the catalog has no address")?),
            iceberg_warehouse: Some(self.iceberg_warehouse.clone()),
            iceberg_credential: Some(Credential {
                client_id: self.access_key.clone(),
                client_secret: self.secret_key.clone(),
            }),
            ..from_environment()?
        })
    }
}

/// A service that listens everywhere is reached on loopback from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
