//! Starts the four services on their private servers, keeps them, and stops them in order.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use database::PostgresConfig;
use infra::config::Secret;
use local::{Machine, Servers, Services};
use tokio_util::sync::CancellationToken;

use super::state::{Catalog, Operations, State};
use super::{address, bootstrap, detach, readiness};
use crate::args::up::UpArgs;
use crate::failure::Stop;

/// Runs until `shutdown`, or until a part that everything stands on is gone.
pub(super) async fn serve(
    args: &UpArgs,
    data: &Path,
    mut servers: Servers,
    shutdown: CancellationToken,
    ready: impl FnOnce(&State) -> Result<(), Stop>,
) -> anyhow::Result<()> {
    let served = async {
        let (mut services, state) = start(args, data, &servers).await?;
        let waited = tokio::select! {
            waited = readiness::wait_for_all(&state.operations) => waited,
            () = shutdown.cancelled() => Ok(()),
        };
        if let Err(error) = waited {
            services.stop().await;
            return Err(error);
        }
        state.write().map_err(|_| anyhow::anyhow!("the state file cannot be written"))?;
        // Nobody may be listening any more: that is no reason to stop.
        let _ = ready(&state);
        let lost = tokio::select! {
            server = servers.first_exit() => Some(server),
            () = services.executor_lost() => Some("the executor"),
            () = shutdown.cancelled() => None,
        };
        if let Some(service) = lost {
            tracing::error!(service, "a private server has ended; stopping everything, see its log in the data folder");
        }
        // A command that comes now must not take it for running.
        State::remove(data);
        services.stop().await;
        lost.map_or(Ok(()), |service| Err(anyhow::anyhow!("{service} ended unexpectedly; start again to recover")))
    }
    .await;
    State::remove(data);
    servers.stop().await.context("the private services could not be stopped")?;
    served
}

async fn start(args: &UpArgs, data: &Path, servers: &Servers) -> anyhow::Result<(Services, State)> {
    Machine::prepare(servers).await?;
    let key_file = first_start(servers.postgres_admin_url(), args, data).await?;
    let iceberg = if args.iceberg { Some(servers.s3().iceberg()?) } else { None };
    let machine = Machine {
        data: data.to_owned(),
        listen: address::choose(args.listen, data),
        slots: args.slots,
        iceberg: iceberg.clone(),
        store_reserve: args.store_reserve,
        log: args.log.clone(),
    };
    let started = machine.start(servers).await?;
    let saved = bootstrap::login(&started.api_url, &key_file)?;
    tracing::info!(api_url = started.api_url, key_file = %key_file.display(), saved, "everything is up");
    address::remember(data, started.listening);
    let operations = started.services.ops_addresses().into_iter();
    let state = State {
        pid: std::process::id(),
        api_url: started.api_url,
        data: data.to_owned(),
        key_file,
        log_file: args.background.then(|| detach::log_file(data)),
        started_at: schemas::Timestamp::now(),
        operations: operations
            .map(|(service, address)| Operations { service: service.to_owned(), url: format!("http://{address}") })
            .collect(),
        iceberg: iceberg.as_ref().and_then(Catalog::of),
    };
    Ok((started.services, state))
}

/// Returns the file with the API key.
async fn first_start(database_url: Secret, args: &UpArgs, data: &Path) -> anyhow::Result<PathBuf> {
    let pool = database::open(&PostgresConfig { database_url, database_pool: 1 })?;
    bootstrap::prepare(&mut pool.get().await?, data, args.plan).await
}
