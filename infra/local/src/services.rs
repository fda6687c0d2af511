//! The services that run in this process, or beside it. Each step starts one, so that a caller may leave one out.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use collector::CollectorConfig;
use executor::{ExecutorConfig, ExecutorSettings};
use infra::keyring::KeyringConfig;
use infra::service::Service;
use infra::telemetry::LogConfig;
use ingest::{Ingest, IngestConfig};
use metering::MeteringConfig;
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;
use crate::executor::Executor;

/// Dropping it ends them without waiting; [`Services::stop`] ends them in order.
#[derive(Debug, Default)]
pub struct Services {
    ingest: Option<Ingest>,
    executor: Option<Executor>,
    collector: Option<Service>,
    metering: Option<Service>,
    /// Ends the services that take work, which stop first …
    front: CancellationToken,
    /// … and those that finish it, which stop last.
    back: CancellationToken,
}

impl Services {
    /// Returns the address of the API.
    pub async fn start_ingest(&mut self, config: IngestConfig) -> anyhow::Result<SocketAddr> {
        let ingest = ingest::start(config, self.front.clone()).await.context("ingest cannot start")?;
        let address = ingest.address();
        self.ingest = Some(ingest);
        Ok(address)
    }

    pub async fn start_collector(&mut self, config: CollectorConfig) -> anyhow::Result<()> {
        let started = collector::start(config, self.back.clone()).await.context("the collector cannot start")?;
        self.collector = Some(started);
        Ok(())
    }

    pub async fn start_metering(&mut self, config: MeteringConfig) -> anyhow::Result<()> {
        let started = metering::start(config, self.back.clone()).await.context("metering cannot start")?;
        self.metering = Some(started);
        Ok(())
    }

    /// Starts an executor in this process.
    pub async fn start_executor(&mut self, config: ExecutorConfig) -> anyhow::Result<()> {
        let started = Executor::here(config, self.front.clone()).await.context("the executor cannot start")?;
        self.executor = Some(started);
        Ok(())
    }

    /// Starts an executor in this process, or beside it if this user needs that.
    pub(crate) async fn start_own_executor(
        &mut self,
        connections: Connections,
        keyring: KeyringConfig,
        settings: ExecutorSettings,
        log: &LogConfig,
    ) -> anyhow::Result<()> {
        let started = Executor::start(connections, keyring, settings, log, self.front.clone()).await;
        self.executor = Some(started.context("the executor cannot start")?);
        Ok(())
    }

    /// The addresses of health and metrics, by the name of the service.
    pub fn ops_addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let addresses = [
            ("ingest", self.ingest.as_ref().map(Ingest::ops_address)),
            ("executor", self.executor.as_ref().map(Executor::ops_address)),
            ("collector", self.collector.as_ref().map(Service::ops_address)),
            ("metering", self.metering.as_ref().map(Service::ops_address)),
        ];
        addresses.into_iter().filter_map(|(service, address)| Some((service, address?))).collect()
    }

    /// Returns when an executor beside this process has ended by itself; never, if there is none.
    pub async fn executor_lost(&mut self) {
        match &mut self.executor {
            Some(executor) => executor.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Asks all of them to end, without an order.
    pub fn cancel(&self) {
        self.front.cancel();
        self.back.cancel();
    }

    /// Ends them in the order in which work flows, and waits until they have ended.
    pub async fn stop(self) {
        self.front.cancel();
        let ingest = async {
            let Some(ingest) = self.ingest else { return };
            if let Err(error) = ingest.finished().await {
                tracing::error!(error = %format!("{error:#}"), "ingest did not stop in order");
            }
        };
        let executor = async {
            if let Some(executor) = self.executor {
                executor.finished().await;
            }
        };
        tokio::join!(ingest, executor);
        // The last messages of the executor are still on their way to the collector.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.back.cancel();
        let collector = async {
            if let Some(collector) = self.collector {
                collector.finished().await;
            }
        };
        let metering = async {
            if let Some(metering) = self.metering {
                metering.finished().await;
            }
        };
        tokio::join!(collector, metering);
    }
}
