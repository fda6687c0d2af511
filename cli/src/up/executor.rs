//! The executor of `crownest up`: in this process for root; else a process of its own, which alone enters the user
//! namespace that it needs, so that everything else stays what its user started.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use executor::supervised::Supervised;
use tokio_util::sync::CancellationToken;

use super::services::parse;

const PROGRAM: &str = "crownest-executor";

#[derive(Debug)]
pub(super) enum Executor {
    Here(executor::Executor),
    Beside(Supervised),
}

impl Executor {
    /// `flags` are its command line, `log` that of its logs if it has a process of its own.
    pub(super) async fn start(
        flags: Vec<String>,
        log: Vec<String>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        if rustix::process::geteuid().is_root() {
            return Ok(Self::Here(executor::start(parse(flags)?, shutdown).await?));
        }
        let flags: Vec<String> = flags.into_iter().chain(log).collect();
        Ok(Self::Beside(Supervised::start(&program()?, &flags).await?))
    }

    pub(super) fn ops_address(&self) -> SocketAddr {
        match self {
            Self::Here(executor) => executor.ops_address(),
            Self::Beside(executor) => executor.ops_address(),
        }
    }

    /// Returns if its process has ended; never, if it has none.
    pub(super) async fn lost(&mut self) {
        match self {
            Self::Here(_) => std::future::pending().await,
            Self::Beside(executor) => drop(executor.ended().await),
        }
    }

    /// Returns when it has ended, after `shutdown`.
    pub(super) async fn finished(self) {
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
