//! One attempt of one run, from the claimed job to its last message: fetch, extract, run, collect, clean up, report.
//! `phases` has these steps in order.

mod clean_up;
mod collect;
mod command;
mod download;
mod environment;
mod fetch;
pub(crate) mod phases;
mod record;
mod set_up;
mod streams;
mod template;

use crate::context::Context;
use crate::dispatch::running::Stop;
use crate::dispatch::slots::Slot;
use crate::feed::Feed;
use crate::trees::CachedTree;
use schemas::Timestamp;
use schemas::artifact::ArtifactLimits;
use schemas::id::{CommandId, SandboxId};
use schemas::message::Job;
use schemas::run::FailureReason;

/// Everything that one attempt needs.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub context: &'a Context,
    pub job: &'a Job,
    /// Counts from 1.
    pub number: u32,
    pub slot: &'a Slot,
    pub sandbox_id: SandboxId,
    pub command_id: CommandId,
    pub claimed_at: Timestamp,
    /// Encrypted environment variables of the run, if it has any.
    pub sealed_env: Option<Vec<u8>>,
    pub feed: Feed,
}

impl Attempt<'_> {
    /// Bounds of the collection: the plan's, and the executor's own where the plan has none.
    fn artifact_limits(&self) -> ArtifactLimits {
        self.job.artifact_limits.or(self.context.artifact_limits)
    }
}

/// The end of an attempt, as its job sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// The broker has confirmed its ending.
    Reported,
    /// Overtaken, or this executor is shutting down: the job is somebody else's.
    Unreported,
}

/// Why an attempt did not come to a report of its own.
#[derive(Debug)]
enum Interrupted {
    /// The run ends here, for this reason.
    Failed {
        reason: FailureReason,
        message: String,
    },
    Canceled,
    /// Stop without a report.
    Silent,
}

/// The trees that the sandbox shows.
#[derive(Debug)]
struct Trees {
    archive: CachedTree,
    /// `None` for the host's `/usr`.
    template: Option<CachedTree>,
}

impl From<Stop> for Interrupted {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Canceled => Self::Canceled,
            Stop::Silent => Self::Silent,
        }
    }
}
