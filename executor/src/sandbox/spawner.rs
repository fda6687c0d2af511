//! Starts helpers from one thread that lives as long as the host. A helper asks the kernel to be killed when its
//! parent dies (`PR_SET_PDEATHSIG`), and for the kernel the parent is the *thread* that forked: a tokio worker may end
//! long before the process does. With a thread of our own, "parent died" means exactly "the executor is gone".
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::{io, thread};

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::error::{SandboxError, Step as _};

/// What the helper gets as standard output and error.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standard {
    Piped,
    Null,
}

struct Job {
    args: Vec<OsString>,
    control: OwnedFd,
    standard: Standard,
    runtime: tokio::runtime::Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// Dropping it ends the thread, and with it every helper that still runs.
#[derive(Debug)]
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    pub(super) fn start(helper: PathBuf) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new().name("sandbox-spawner".into()).spawn(move || {
            for Job { args, control, standard, runtime, answer } in queue {
                let _runtime = runtime.enter();
                let stdio = || match standard {
                    Standard::Piped => Stdio::piped(),
                    Standard::Null => Stdio::null(),
                };
                let child = Command::new(&helper)
                    .args(args)
                    .env_clear()
                    .stdin(Stdio::from(control))
                    .stdout(stdio())
                    .stderr(stdio())
                    .kill_on_drop(true)
                    .spawn();
                // A caller that gave up drops the receiver; the child is then killed by `kill_on_drop`.
                let _ = answer.send(child);
            }
        })?;
        Ok(Self { jobs })
    }

    pub(super) async fn spawn(
        &self,
        args: Vec<OsString>,
        control: OwnedFd,
        standard: Standard,
    ) -> Result<Child, SandboxError> {
        let (answer, child) = oneshot::channel();
        let job = Job { args, control, standard, runtime: tokio::runtime::Handle::current(), answer };
        let gone = || io::Error::other("the spawner thread is gone");
        self.jobs.send(job).map_err(|_| gone()).step("start the helper")?;
        child
            .await
            .map_err(|_| gone())
            .step("start the helper")?
            .map_err(|error| SandboxError::unavailable("start the helper", error))
    }
}
