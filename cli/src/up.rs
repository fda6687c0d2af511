//! `crownest up`, `status` and `down`: the whole system on one machine, in one process beside its private services.

mod bootstrap;
mod detach;
mod down;
mod executor;
mod readiness;
mod services;
mod state;
mod status;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use infra::local::{Durability, LocalError, LocalServices};
use infra::telemetry::LogConfig;

use crate::failure::{Failure, Stop};
use crate::output::Output;

pub(crate) use down::run as down;
pub(crate) use status::run as status;

use self::state::State;

/// Where everything is kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataArgs {
    /// Data folder [default: /var/lib/crownest as root, else crownest under the XDG data folder]
    #[arg(long, env = "CROWNEST_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Return once everything is ready, and go on in the background
    #[arg(long)]
    detach: bool,
    /// Where to serve the API [default: the address of last time, else 127.0.0.1:8080, else a free port]
    #[arg(long, env = "CROWNEST_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Limits of the local organization [default: none on first start, else as before]
    #[arg(long, value_name = "PLAN")]
    plan: Option<Plan>,
    /// Runs at the same time [default: one for each core]
    #[arg(long, env = "CROWNEST_SLOTS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: Option<u16>,
    /// Register the tables of sealed runs in the Iceberg catalog that the local object store brings
    #[arg(long, env = "CROWNEST_ICEBERG")]
    iceberg: bool,
    #[command(flatten)]
    log: LogConfig,
    /// This process was started by --detach
    #[arg(long, hide = true)]
    background: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plan {
    /// No rate limit and no quota
    Local,
    Free,
    Builder,
    Scale,
    Enterprise,
}

impl Plan {
    fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Free => "free",
            Self::Builder => "builder",
            Self::Scale => "scale",
            Self::Enterprise => "enterprise",
        }
    }
}

impl DataArgs {
    pub(crate) fn folder(&self) -> PathBuf {
        if let Some(folder) = &self.data {
            return std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let user_data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        match user_data.or_else(|| home.map(|home| home.join(".local/share"))) {
            Some(folder) if !rustix::process::geteuid().is_root() => folder.join("crownest"),
            _ => PathBuf::from("/var/lib/crownest"),
        }
    }
}

pub(crate) async fn run(args: UpArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let data = args.data.folder();
    // Before anything is started that would have to be stopped again.
    sandbox::SandboxHost::check().map_err(|error| {
        let hint = "Do what it says (docs/reference/sandbox.md, \"Without root\"), or run it as root.";
        Failure::new("not_root", error.to_string()).hint(hint)
    })?;
    if args.detach {
        return detach::run(&args, &data, output).await;
    }
    if args.background {
        // A session of its own, so that the terminal that started it can be closed.
        let _ = rustix::process::setsid();
    }
    infra::telemetry::init(&args.log).map_err(|error| Failure::new("invalid_config", error.to_string()))?;
    let shutdown = infra::shutdown::on_signal().map_err(|error| broken(&error.into()))?;

    State::remove_stale(&data);
    let local = match LocalServices::start(&data, Durability::Durable).await {
        Ok(local) => local,
        Err(LocalError::AlreadyRunning { .. }) => return already_running(&data, output),
        Err(error) => return Err(broken(&error.into()).into()),
    };
    let ready = |state: &State| {
        // In the background the other process tells it, and standard output is the log.
        if args.background { Ok(()) } else { announce("CrowNest is ready.", state, output) }
    };
    let served = services::serve(&args, &data, local, shutdown, ready).await;
    State::remove(&data);
    served.map_err(|error| broken(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Tells where everything is; also what `--detach` prints.
fn announce(headline: &str, state: &State, output: &mut Output) -> Result<(), Stop> {
    let iceberg = state.iceberg.as_ref().map(|catalog| format!("  iceberg   {catalog}\n")).unwrap_or_default();
    let text = format!(
        "{headline}\n  API       {}\n  key       {}\n  data      {}\n{iceberg}  log       {}\n  stop      crownest down --data {}\n",
        state.api_url,
        state.key_file.display(),
        state.data.display(),
        state.log_file.as_ref().map_or("this terminal".into(), |path| path.display().to_string()),
        state.data.display(),
    );
    output.result(&serde_json::json!(state), |_| text)
}

fn already_running(data: &std::path::Path, output: &mut Output) -> Result<ExitCode, Stop> {
    match State::of_running(data)? {
        Some(state) => {
            announce("CrowNest is running on this data already; nothing was started.", &state, output)?;
            Ok(ExitCode::SUCCESS)
        }
        None => Err(Failure::new("starting", "CrowNest is starting or stopping on this data right now")
            .hint("Wait a moment, then run `crownest status`.")
            .retryable()
            .into()),
    }
}

fn broken(error: &anyhow::Error) -> Failure {
    Failure::new("up_failed", format!("{error:#}"))
}
