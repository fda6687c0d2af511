//! Starts the four services in this process, each configured as if it ran alone, and stops them in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Command, FromArgMatches, ValueEnum};
use collector::CollectorConfig;
use database::PostgresConfig;
use infra::config::Secret;
use infra::local::{LocalServices, Role};
use infra::s3::{self, ObjectLockConfig};
use infra::telemetry::LogConfig;
use tokio_util::sync::CancellationToken;

use super::executor::Executor;
use super::state::{Catalog, Operations, State};
use super::{UpArgs, bootstrap, readiness};
use crate::failure::Stop;

const BUCKET: &str = "crownest";
const DEFAULT_PORT: u16 = 8080;
/// Connections of each service; PostgreSQL allows 100 by default.
const POOL: u16 = 10;

/// Runs until `shutdown`, or until something that everything stands on is gone.
pub(super) async fn serve(
    args: &UpArgs,
    data: &Path,
    mut local: LocalServices,
    shutdown: CancellationToken,
    ready: impl FnOnce(&State) -> Result<(), Stop>,
) -> anyhow::Result<()> {
    let served = async {
        let mut stack = Stack::start(args, data, &local).await?;
        let waited = tokio::select! {
            waited = readiness::wait_for_all(&stack.state.operations) => waited,
            () = shutdown.cancelled() => Ok(()),
        };
        if let Err(error) = waited {
            stack.stop().await;
            return Err(error);
        }
        stack.state.write().map_err(|_| anyhow::anyhow!("the state file cannot be written"))?;
        // Nobody may be listening any more: that is no reason to stop.
        let _ = ready(&stack.state);
        let lost = tokio::select! {
            service = local.first_exit() => Some(service),
            () = stack.executor.lost() => Some("the executor"),
            () = shutdown.cancelled() => None,
        };
        if let Some(service) = lost {
            tracing::error!(
                service,
                "a private service has ended, so everything stops; see its log in the data folder"
            );
        }
        // Whoever comes now should not take it for running.
        State::remove(data);
        stack.stop().await;
        lost.map_or(Ok(()), |service| Err(anyhow::anyhow!("{service} ended unexpectedly; start again to recover")))
    }
    .await;
    State::remove(data);
    local.stop().await.context("the private services could not be stopped")?;
    served
}

struct Stack {
    state: State,
    ingest: ingest::Ingest,
    executor: Executor,
    collector: infra::service::Service,
    metering: infra::service::Service,
    /// Whoever takes work stops first …
    front: CancellationToken,
    /// … and whoever finishes it last.
    back: CancellationToken,
}

impl Stack {
    async fn start(args: &UpArgs, data: &Path, local: &LocalServices) -> anyhow::Result<Self> {
        let admin = local.postgres_admin_url();
        database::migrate(&admin).await.context("the database cannot be migrated")?;
        let pool = database::open(&PostgresConfig { database_url: admin, database_pool: 1 })?;
        let key_file = bootstrap::prepare(&mut pool.get().await?, data, args.plan).await?;
        drop(pool);
        let lock: ObjectLockConfig = parse(Vec::new())?;
        s3::open(&local.s3().config(BUCKET)).locking(lock.lock()).ensure_bucket().await?;

        let (front, back) = (CancellationToken::new(), CancellationToken::new());
        let env_keys = bootstrap::env_keys(data)?.map(|path| path.display().to_string());
        let env_keys: Vec<String> = env_keys.into_iter().flat_map(|path| ["--env-key-file".to_owned(), path]).collect();
        // Before the executor: an address that is taken must not cost the runs in the queue an attempt.
        let mut flags = base(local, Role::Ingest, true);
        flags.extend(["--listen".to_owned(), listen_address(args, data).to_string()]);
        flags.extend(env_keys.clone());
        let ingest = ingest::start(parse(flags)?, front.clone()).await.context("ingest cannot start")?;
        let api_url = format!("http://{}", reachable(ingest.address()));

        let mut flags = base(local, Role::Collector, true);
        if let Some(path) = bootstrap::signing_key(data)? {
            flags.extend(["--signing-key-file".to_owned(), path.display().to_string()]);
        }
        if std::env::var_os("CROWNEST_PUBLIC_URL").is_none() {
            flags.extend(["--public-url".to_owned(), api_url.clone()]);
        }
        if args.iceberg {
            flags.extend(iceberg_flags(local));
        }
        let collector: CollectorConfig = parse(flags)?;
        let iceberg = collector.iceberg.iceberg_uri.clone().filter(|_| args.iceberg).map(|uri| Catalog {
            uri: uri.as_str().trim_end_matches('/').to_owned(),
            warehouse: collector.iceberg.iceberg_warehouse.clone().unwrap_or_default(),
            namespace: collector.iceberg.iceberg_namespace.clone(),
        });
        let collector = collector::start(collector, back.clone()).await.context("the collector cannot start")?;
        let metering = parse(base(local, Role::Metering, false))?;
        let metering = metering::start(metering, back.clone()).await.context("metering cannot start")?;

        let mut flags = base(local, Role::Executor, true);
        flags.extend(["--work-dir".to_owned(), data.join("executor").display().to_string()]);
        flags.extend(env_keys);
        if let Some(slots) = args.slots {
            flags.extend(["--slots".to_owned(), slots.to_string()]);
        }
        let executor =
            Executor::start(flags, log(&args.log), front.clone()).await.context("the executor cannot start")?;

        let saved = bootstrap::login(&api_url, &key_file)?;
        tracing::info!(api_url, key_file = %key_file.display(), saved, "everything is up");
        let operations = [
            ("ingest", ingest.ops_address()),
            ("executor", executor.ops_address()),
            ("collector", collector.ops_address()),
            ("metering", metering.ops_address()),
        ];
        let state = State {
            pid: std::process::id(),
            api_url,
            data: data.to_owned(),
            key_file,
            log_file: args.background.then(|| super::detach::log_file(data)),
            started_at: schemas::Timestamp::now(),
            operations: operations
                .map(|(service, address)| Operations { service: service.to_owned(), url: format!("http://{address}") })
                .into(),
            iceberg,
        };
        remember(data, ingest.address());
        Ok(Self { state, ingest, executor, collector, metering, front, back })
    }

    async fn stop(self) {
        self.front.cancel();
        let (ingest, ()) = tokio::join!(self.ingest.finished(), self.executor.finished());
        if let Err(error) = ingest {
            tracing::error!(error = %format!("{error:#}"), "ingest did not stop in order");
        }
        // What the executor published last is still on its way to the collector.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.back.cancel();
        tokio::join!(self.collector.finished(), self.metering.finished());
    }
}

/// The flags that every service has.
fn base(local: &LocalServices, role: Role, with_store: bool) -> Vec<String> {
    let reveal = |secret: Secret| secret.reveal().to_owned();
    let mut flags = vec![
        "--database-url".to_owned(),
        reveal(local.postgres_url(role)),
        "--database-pool".to_owned(),
        POOL.to_string(),
        "--amqp-url".to_owned(),
        reveal(local.amqp_url()),
        // Each service takes a free port: one address in the environment would not do for four.
        "--ops-listen".to_owned(),
        "127.0.0.1:0".to_owned(),
    ];
    if with_store {
        let store = local.s3().config(BUCKET);
        flags.extend(["--s3-endpoint".to_owned(), store.s3_endpoint, "--s3-region".to_owned(), store.s3_region]);
        flags.extend(["--s3-bucket".to_owned(), store.s3_bucket, "--s3-access-key".to_owned(), store.s3_access_key]);
        flags.extend(["--s3-secret-key".to_owned(), reveal(store.s3_secret_key)]);
    }
    flags
}

/// How this process logs, for another.
fn log(config: &LogConfig) -> Vec<String> {
    let mut flags = vec!["--log".to_owned(), config.log.clone()];
    if let Some(format) = config.log_format.and_then(|format| format.to_possible_value()) {
        flags.extend(["--log-format".to_owned(), format.get_name().to_owned()]);
    }
    flags
}

/// What is not given here comes from the environment or the service's own defaults.
pub(super) fn parse<T: Args + FromArgMatches>(flags: Vec<String>) -> anyhow::Result<T> {
    let command = T::augment_args(Command::new("service").no_binary_name(true));
    Ok(T::from_arg_matches(&command.try_get_matches_from(flags)?)?)
}

/// The catalog of the local store; its keys of S3 are the client.
fn iceberg_flags(local: &LocalServices) -> Vec<String> {
    let store = local.s3();
    vec![
        format!("--iceberg-uri={}", store.iceberg_uri),
        format!("--iceberg-warehouse={}", store.iceberg_warehouse),
        format!("--iceberg-credential={}:{}", store.access_key, store.secret_key.reveal()),
    ]
}

/// Who listens everywhere is reached on loopback from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn remembered(data: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(data.join("listen")).ok()?.trim().parse().ok()
}

fn remember(data: &Path, address: SocketAddr) {
    if let Err(error) = std::fs::write(data.join("listen"), format!("{address}\n")) {
        tracing::warn!(%error, "the address of the API is not remembered for the next start");
    }
}

/// An address that was asked for is taken or the start fails; otherwise whatever is free will do.
fn listen_address(args: &UpArgs, data: &Path) -> SocketAddr {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
    args.listen.unwrap_or_else(|| {
        let candidates = [remembered(data), Some(default)];
        let free = |address: &SocketAddr| std::net::TcpListener::bind(address).is_ok();
        candidates.into_iter().flatten().find(free).unwrap_or(any)
    })
}
