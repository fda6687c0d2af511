//! The executor of one machine: in this process for root; else a process of its own, which alone enters the user namespace
//! that it needs, so that everything else stays what its user started.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use executor::supervised::Supervised;
use executor::{ExecutorConfig, ExecutorSettings};
use infra::keyring::KeyringConfig;
use infra::telemetry::LogConfig;
use tokio_util::sync::CancellationToken;

use crate::connections::{Connections, pairs, word};

const PROGRAM: &str = "crownest-executor";

#[derive(Debug)]
pub enum Executor {
    Here(executor::Executor),
    Beside(Supervised),
}

impl Executor {
    /// Starts it where this process may. An executor with a process of its own logs as `log` says, and takes its other settings
    /// than slots and work folder from the environment.
    pub(crate) async fn start(
        connections: Connections,
        keyring: KeyringConfig,
        settings: ExecutorSettings,
        log: &LogConfig,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        if rustix::process::geteuid().is_root() {
            return Self::here(connections.executor(keyring, settings), shutdown).await;
        }
        let mut flags = connections.flags();
        flags.extend(pairs([
            ("--work-dir", &settings.work_dir.display().to_string()),
            ("--slots", &settings.slots.to_string()),
            ("--log", &log.log),
        ]));
        if let Some(path) = &keyring.env_key_file {
            flags.extend(pairs([("--env-key-file", &path.display().to_string())]));
        }
        if let Some(format) = log.log_format {
            flags.extend(pairs([("--log-format", &word(&format))]));
        }
        Ok(Self::Beside(Supervised::start(&program()?, &flags).await?))
    }

    pub(crate) async fn here(config: ExecutorConfig, shutdown: CancellationToken) -> anyhow::Result<Self> {
        Ok(Self::Here(executor::start(config, shutdown).await?))
    }

    pub(crate) fn ops_address(&self) -> SocketAddr {
        match self {
            Self::Here(executor) => executor.ops_address(),
            Self::Beside(executor) => executor.ops_address(),
        }
    }

    /// Returns when its process has ended; never, if it has none.
    pub(crate) async fn lost(&mut self) {
        match self {
            Self::Here(_) => std::future::pending().await,
            Self::Beside(executor) => drop(executor.ended().await),
        }
    }

    /// Returns when it has ended, after the shutdown was asked for.
    pub(crate) async fn finished(self) {
        match self {
            Self::Here(executor) => executor.finished().await,
            Self::Beside(executor) => {
                if let Err(error) = executor.stop().await {
                    tracing::error!(%error, "the executor did not stop in order");
                }
            }
        }
    }
}

fn program() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let program = this.with_file_name(PROGRAM);
    anyhow::ensure!(program.is_file(), "{} is missing: without root it is needed beside crownest", program.display());
    Ok(program)
}
