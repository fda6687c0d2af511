//! Ctrl-C (and SIGTERM, which CI systems send): the first cancels the run, the second leaves immediately.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use schemas::id::RunId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::client::idempotency::IdempotencyKey;
use crate::failure::Failure;

/// The exit code that a shell reports for a program that SIGINT ended.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    run: Arc<OnceLock<RunId>>,
    first: CancellationToken,
}

impl Interrupt {
    /// Handles signals from now on, in a task of its own: the command itself may be blocked, writing into a full pipe.
    pub(crate) fn listen(client: &Client, quiet: bool) -> Result<Self, Failure> {
        let failed = |error| Failure::new("internal_error", format!("cannot handle signals: {error}"));
        let interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminations = signal(SignalKind::terminate()).map_err(failed)?;
        let this = Self { run: Arc::default(), first: CancellationToken::new() };
        tokio::spawn(handle(this.clone(), client.clone(), Signals { interrupts, terminations }, quiet));
        Ok(this)
    }

    /// From now on there is a run to cancel.
    pub(crate) fn set_run(&self, run: &RunId) {
        // A second run would be a mistake of the caller; the first one stays the one to cancel.
        let _ = self.run.set(run.clone());
    }

    pub(crate) fn run(&self) -> Option<RunId> {
        self.run.get().cloned()
    }

    /// Returns at the first signal.
    pub(crate) async fn first(&self) {
        self.first.cancelled().await;
    }
}

struct Signals {
    interrupts: Signal,
    terminations: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupts.recv() => {}
            _ = self.terminations.recv() => {}
        }
    }
}

async fn handle(interrupt: Interrupt, client: Client, mut signals: Signals, quiet: bool) {
    signals.next().await;
    interrupt.first.cancel();
    if let Some(run) = interrupt.run.get() {
        say(quiet, &format!("canceling {run}; once more leaves at once and does not wait for its end"));
        let key = IdempotencyKey::generate();
        tokio::select! {
            canceled = client.cancel_run(run, &key) => {
                if let Err(failure) = canceled {
                    say(quiet, &format!("{run} could not be canceled: {}", failure.message));
                }
            }
            () = signals.next() => std::process::exit(EXIT_INTERRUPTED.into()),
        }
    }
    signals.next().await;
    std::process::exit(EXIT_INTERRUPTED.into());
}

fn say(quiet: bool, text: &str) {
    if !quiet {
        // There is nobody to tell if standard error is gone.
        let _ = writeln!(std::io::stderr(), "\ncrownest: {text}");
    }
}
