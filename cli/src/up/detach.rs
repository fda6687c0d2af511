//! `crownest up --detach`: the same command again in the background, and waiting until it is ready.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use local::Servers;
use tokio::process::{Child, Command};

use super::announce::{already_running, announce};
use super::state::State;
use crate::args::up::UpArgs;
use crate::failure::{Failure, Stop};
use crate::output::Output;

/// The first start makes a database and boots a broker, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);
const TAIL_BYTES: u64 = 4 * 1024;

pub(super) fn log_file(data: &Path) -> PathBuf {
    data.join("crownest.log")
}

pub(super) async fn run(args: &UpArgs, data: &Path, output: &mut Output) -> Result<ExitCode, Stop> {
    if State::of_running(data)?.is_some() {
        return already_running(data, output);
    }
    std::fs::create_dir_all(data).map_err(|error| Failure::file("create", data, &error))?;
    State::remove_stale(data);
    output.note("starting CrowNest in the background …");
    let mut child = spawn(args, data)?;
    let ready = tokio::time::timeout(DEADLINE, wait_for(&mut child, data)).await;
    match ready {
        Ok(Ok(Some(state))) => {
            announce("CrowNest is ready.", &state, output)?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(Ok(None)) => already_running(data, output),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(failed(data, &format!("CrowNest was not ready within {} s", DEADLINE.as_secs())).into()),
    }
}

fn spawn(args: &UpArgs, data: &Path) -> Result<Child, Stop> {
    let program = std::env::current_exe().map_err(|error| Failure::file("find", Path::new("crownest"), &error))?;
    let path = log_file(data);
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let log = log.map_err(|error| Failure::file("open", &path, &error))?;
    let errors = log.try_clone().map_err(|error| Failure::file("open", &path, &error))?;
    let mut command = Command::new(program);
    command.args(["up", "--background", "--log", &args.log.log]).arg("--data").arg(data);
    if let Some(format) = args.log.log_format.and_then(|format| format.to_possible_value()) {
        command.args(["--log-format", format.get_name()]);
    }
    if let Some(listen) = args.listen {
        command.args(["--listen", &listen.to_string()]);
    }
    if let Some(plan) = args.plan {
        command.args(["--plan", plan.as_str()]);
    }
    if let Some(slots) = args.slots {
        command.args(["--slots", &slots.to_string()]);
    }
    command.args(["--store-reserve", &args.store_reserve.to_string()]);
    if args.iceberg {
        command.arg("--iceberg");
    }
    command.stdin(Stdio::null()).stdout(log).stderr(errors).current_dir("/");
    Ok(command
        .spawn()
        .map_err(|error| Failure::new("up_failed", format!("cannot start in the background: {error}")))?)
}

/// `None` if another process was first to start on this data.
async fn wait_for(child: &mut Child, data: &Path) -> Result<Option<State>, Stop> {
    loop {
        if let Some(state) = State::read(data)?
            && Some(state.pid) == child.id()
        {
            return Ok(Some(state));
        }
        let exited = child.try_wait().map_err(|error| Failure::new("up_failed", error.to_string()))?;
        if exited.is_some() {
            if State::of_running(data)?.is_some() {
                return Ok(None);
            }
            // Another process may be starting on this data: then its start is waited for.
            if Servers::holder(data).is_none() {
                return Err(failed(data, "CrowNest could not start").into());
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

fn failed(data: &Path, message: &str) -> Failure {
    let path = log_file(data);
    let mut tail = String::new();
    if let Ok(mut file) = std::fs::File::open(&path) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)));
        let mut bytes = Vec::new();
        let _ = file.read_to_end(&mut bytes);
        tail = String::from_utf8_lossy(&bytes).into_owned();
    }
    Failure::new("up_failed", format!("{message}. The end of its log:\n{tail}"))
        .hint(format!("The whole log is {}.", path.display()))
}
