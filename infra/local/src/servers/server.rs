//! The life of one private server: started until it answers, restarted in place, killed, stopped. Each kind of software has
//! a file of its own, behind [`Software`].

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::error::LocalError;
use super::home::Home;
use super::ports::Ports;
use super::process::{Running, not_started, spawn};
use super::software::{Durability, Software};
use super::{leftovers, procfs};

const PORT_ATTEMPTS: u32 = 5;
const POLL: Duration = Duration::from_millis(25);
const PROBE_WITHIN: Duration = Duration::from_secs(5);
/// Once it answers: SeaweedFS opens its last ports half a second after the one that is asked.
const PORTS_WITHIN: Duration = Duration::from_secs(5);
const DROP_WITHIN: Duration = Duration::from_secs(2);

/// The ports on which a server that answers really listens.
enum PortsHeld {
    All,
    Some,
}

/// One private server. Dropping it ends its processes immediately.
#[derive(Debug)]
pub struct Server<S: Software> {
    pub(super) software: S,
    pub(super) home: Home,
    pub(super) ports: Ports,
    running: Option<Running>,
}

impl<S: Software> Server<S> {
    /// Starts it on the data below `dir`, which is created if missing, and waits until it answers.
    pub async fn start(dir: &Path, durability: Durability) -> Result<Self, LocalError> {
        let software = S::locate(durability)?;
        let home = Home::open(S::NAME, S::USERS, dir)?;
        leftovers::end(&home, software.program(), S::STOP, S::STOP_WITHIN).await?;
        let ports = Ports::claim(&home.dir, S::PORTS)?;
        let mut service = Self { software, home, ports, running: None };
        service.start_again().await?;
        Ok(service)
    }

    /// Ends what a killed supervisor left running on the data below `dir`; true if there was something.
    pub(super) async fn end_leftovers(dir: &Path) -> Result<bool, LocalError> {
        if !dir.is_dir() {
            return Ok(false);
        }
        let software = S::locate(Durability::Durable)?;
        let home = Home::open(S::NAME, S::USERS, dir)?;
        let found = !leftovers::find(&home, software.program()).is_empty();
        leftovers::end(&home, software.program(), S::STOP, S::STOP_WITHIN).await?;
        Ok(found)
    }

    /// The main process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().filter(|running| running.id.is_alive()).map(|running| running.id.pid)
    }

    /// All live processes, helpers and workers included.
    pub fn pids(&self) -> Vec<u32> {
        let found = leftovers::find(&self.home, self.software.program());
        found.into_iter().map(|process| process.pid).collect()
    }

    /// Starts it after [`Server::kill`] or [`Server::stop`], on the same data and, unless somebody has taken them
    /// meanwhile, the same ports.
    pub async fn start_again(&mut self) -> Result<(), LocalError> {
        let began = Instant::now();
        let mut taken = Vec::new();
        for _ in 0..PORT_ATTEMPTS {
            self.stop().await?;
            self.ports = Ports::claim(&self.home.dir, S::PORTS)?;
            let launch = self.software.prepare(&self.home, &self.ports).await?;
            self.running = Some(spawn(&self.home, &launch)?);
            let outcome = self.await_ready().await;
            if let Ok(PortsHeld::All) = outcome {
                tracing::info!(service = S::NAME, ports = ?self.ports, elapsed = ?began.elapsed(), "ready");
                return Ok(());
            }
            self.stop().await?;
            taken = self.ports.taken();
            if taken.is_empty() {
                outcome?;
            }
            tracing::warn!(service = S::NAME, ?taken, "another program took a port, choosing others");
        }
        Err(LocalError::PortsTaken { service: S::NAME, attempts: PORT_ATTEMPTS, taken })
    }

    /// An orderly end and a new start in place.
    pub async fn restart(&mut self) -> Result<(), LocalError> {
        self.stop().await?;
        self.start_again().await
    }

    /// SIGKILL to all its processes, as in a crash of the machine that spares the disk.
    pub async fn kill(&mut self) -> Result<(), LocalError> {
        self.end(Signal::KILL).await
    }

    /// An orderly end within a deadline, SIGKILL after it. On return no process and no socket is left.
    pub async fn stop(&mut self) -> Result<(), LocalError> {
        self.end(S::STOP).await
    }

    /// Waits until the main process ends; forever if it is not running.
    pub async fn exited(&mut self) {
        match &mut self.running {
            Some(running) => drop(running.child.wait().await),
            None => std::future::pending().await,
        }
    }

    async fn end(&mut self, signal: Signal) -> Result<(), LocalError> {
        if let Some(mut running) = self.running.take() {
            leftovers::send(running.id, signal);
            if tokio::time::timeout(S::STOP_WITHIN, running.child.wait()).await.is_err() {
                tracing::warn!(service = S::NAME, "did not stop within {:?}, killing it", S::STOP_WITHIN);
                leftovers::send(running.id, Signal::KILL);
                // Reaps it; cannot take long after SIGKILL.
                let _ = tokio::time::timeout(S::STOP_WITHIN, running.child.wait()).await;
            }
        }
        leftovers::end(&self.home, self.software.program(), Signal::TERM, Duration::from_secs(1)).await?;
        self.remove_stray_sockets();
        Ok(())
    }

    async fn await_ready(&mut self) -> Result<PortsHeld, LocalError> {
        let deadline = Instant::now() + S::READY_WITHIN;
        let mut answered: Option<Instant> = None;
        let mut reason = String::from("it was not asked yet");
        while Instant::now() < deadline {
            let Some(running) = &mut self.running else { break };
            if let Ok(Some(status)) = running.child.try_wait() {
                return Err(not_started(&self.home, format!("it ended with {status}")));
            }
            let probe = tokio::time::timeout(PROBE_WITHIN, self.software.probe(&self.home, &self.ports));
            match probe.await {
                Ok(Ok(())) if self.has_its_ports() => return Ok(PortsHeld::All),
                Ok(Ok(())) if answered.get_or_insert_with(Instant::now).elapsed() > PORTS_WITHIN => {
                    return Ok(PortsHeld::Some);
                }
                Ok(Ok(())) => {}
                Ok(Err(error)) => reason = error,
                Err(_) => reason = format!("no answer within {PROBE_WITHIN:?}"),
            }
            tokio::time::sleep(POLL).await;
        }
        Err(not_started(&self.home, format!("not ready within {:?}: {reason}", S::READY_WITHIN)))
    }

    /// True if this process answers on all the ports: a stranger could, and SeaweedFS silently evades to
    /// other ports. Where /proc does not tell (root without `CAP_SYS_PTRACE`), the probe's credentials must do.
    fn has_its_ports(&self) -> bool {
        let Some(addresses) = self.pid().and_then(procfs::listening_addresses) else { return self.pid().is_some() };
        self.ports.all().all(|port| addresses.iter().any(|address| address.port() == port))
    }

    fn remove_stray_sockets(&self) {
        for path in self.software.stray_sockets(&self.home, &self.ports) {
            let ours = |meta: fs::Metadata| meta.file_type().is_socket() && meta.uid() == self.home.run_as.uid;
            if fs::symlink_metadata(&path).is_ok_and(ours) {
                // Left behind it does no harm: the next start tries again.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

impl<S: Software> Drop for Server<S> {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        leftovers::send(running.id, S::ABORT);
        let deadline = Instant::now() + DROP_WITHIN;
        while Instant::now() < deadline {
            let left = leftovers::find(&self.home, self.software.program());
            if left.is_empty() {
                break;
            }
            if !running.id.is_alive() {
                for process in left {
                    leftovers::send(process, Signal::KILL);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        leftovers::send(running.id, Signal::KILL);
        self.remove_stray_sockets();
    }
}
