//! `crownest up`, `status` and `down`: the whole system on one machine, in one process beside its private services.

mod address;
mod announce;
mod bootstrap;
mod detach;
mod down;
mod readiness;
mod serve;
mod state;
mod status;

use std::process::ExitCode;

use local::{Durability, LocalError, Servers};

use crate::args::up::UpArgs;
use crate::failure::{Failure, Stop};
use crate::output::Output;

pub(crate) use down::run as down;
pub(crate) use status::run as status;

use self::announce::{already_running, announce};
use self::state::State;

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
    let servers = match Servers::start(&data, Durability::Durable).await {
        Ok(servers) => servers,
        Err(LocalError::AlreadyRunning { .. }) => return already_running(&data, output),
        Err(error) => return Err(broken(&error.into()).into()),
    };
    let ready = |state: &State| {
        // In the background the other process tells it, and standard output is the log.
        if args.background { Ok(()) } else { announce("CrowNest is ready.", state, output) }
    };
    let served = serve::serve(&args, &data, servers, shutdown, ready).await;
    State::remove(&data);
    served.map_err(|error| broken(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn broken(error: &anyhow::Error) -> Failure {
    Failure::new("up_failed", format!("{error:#}"))
}
