//! `crownest down`: stops the system on this data, and whatever a killed one left running.

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use local::Servers;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::state::State;
use crate::args::up::DataArgs;
use crate::failure::{Failure, Stop};
use crate::output::Output;

/// Longer than every drain deadline of the services together.
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);
const KILL_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &DataArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let data = args.folder();
    let mut stopped = false;
    if let Some(pid) = Servers::holder(&data) {
        output.note("stopping CrowNest …");
        end(pid, output).await?;
        stopped = true;
    }
    let left = Servers::end_leftovers(&data)
        .await
        .map_err(|error| Failure::new("down_failed", format!("what was left running could not be ended: {error}")))?;
    State::remove(&data);
    let text = match (stopped, left) {
        (true, _) => "CrowNest is stopped. Its data is kept.\n",
        (false, true) => "CrowNest was not running; what a killed one had left is ended.\n",
        (false, false) => "CrowNest is not running.\n",
    };
    output.result(&serde_json::json!({ "stopped": stopped || left, "data": data }), |_| text.to_owned())?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the process to end, kills it if it takes too long, and returns when it is gone.
async fn end(pid: u32, output: &mut Output) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::new("down_failed", format!("process {pid} cannot be stopped: {error}"))
    };
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let raw = raw.ok_or_else(|| Failure::new("down_failed", "the data folder names no process"))?;
    // The descriptor stays with this process, whoever has its number later.
    let process = match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(()),
        Err(error) => return Err(failed(&error)),
    };
    for (signal, deadline) in [(Signal::TERM, DEADLINE), (Signal::KILL, KILL_DEADLINE)] {
        if signal == Signal::KILL {
            output.note("it did not stop in time and is killed");
        }
        match pidfd_send_signal(&process, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(failed(&error)),
        }
        if has_ended(&process, deadline).await {
            return Ok(());
        }
    }
    Err(Failure::new("down_failed", format!("process {pid} does not end, not even when it is killed")))
}

async fn has_ended(process: &OwnedFd, deadline: Duration) -> bool {
    let ended = async {
        // A descriptor of a process becomes readable when it ends (`pidfd_open(2)`).
        while poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&Timespec::default())) != Ok(1) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(deadline, ended).await.is_ok()
}
