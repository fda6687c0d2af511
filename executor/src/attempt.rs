//! One attempt of one run, from the claimed job to its last message: fetch, extract, run, collect, clean up, report.

mod collect;
mod command;
mod download;
mod environment;
mod fetch;
mod streams;
mod template;

use std::time::Instant;

use schemas::Timestamp;
use schemas::artifact::ArtifactError;
use schemas::egress::EgressReport;
use schemas::id::{CommandId, SandboxId};
use schemas::message::{
    CollectedArtifact, Finished, Job, Limits, PhaseTimes, Resources, RunEnd, StreamTotals, Verdict,
};
use schemas::run::{CleanupStatus, FailureReason, RunStatus};
use schemas::test_report::TestReport;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::archive::CachedTree;
use crate::claim::Stop;
use crate::feed::Feed;
use crate::sandbox::DiskUsage;
use crate::service::Parts;
use crate::slots::Slot;

/// Everything that one attempt needs.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub parts: &'a Parts,
    pub job: &'a Job,
    /// Counts from 1.
    pub number: u32,
    pub slot: Slot,
    pub sandbox_id: SandboxId,
    pub command_id: CommandId,
    pub claimed_at: Timestamp,
    /// Encrypted environment variables of the run, if it has any.
    pub sealed_env: Option<Vec<u8>>,
    pub feed: Feed,
}

/// Whether the broker has the ending of the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
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
    /// Stop without a word.
    Silent,
}

/// What the sandbox is made from.
#[derive(Debug)]
struct Trees {
    archive: CachedTree,
    /// `None` for the host's `/usr`.
    template: Option<CachedTree>,
}

/// What is known so far; becomes `Finished`.
#[derive(Debug)]
struct Record {
    times: PhaseTimes,
    message: Option<String>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    oom_killed: bool,
    disk: Option<DiskUsage>,
    cleanup: CleanupStatus,
    resources: Resources,
    streams: StreamTotals,
    redactions: u64,
    truncated_streams: Vec<String>,
    artifacts: Vec<CollectedArtifact>,
    artifact_errors: Vec<ArtifactError>,
    test_reports: Vec<TestReport>,
    egress: Option<EgressReport>,
}

impl Record {
    fn new(claimed_at: Timestamp) -> Self {
        Self {
            times: PhaseTimes {
                claimed_at,
                fetched_at: None,
                extracted_at: None,
                started_at: None,
                finished_at: None,
                collected_at: None,
                ended_at: claimed_at,
                command_ms: None,
                sandbox_ms: 0,
            },
            message: None,
            exit_code: None,
            signal: None,
            oom_killed: false,
            disk: None,
            cleanup: CleanupStatus::NotRequested,
            resources: Resources::default(),
            streams: StreamTotals::default(),
            redactions: 0,
            truncated_streams: Vec::new(),
            artifacts: Vec::new(),
            artifact_errors: Vec::new(),
            test_reports: Vec::new(),
            egress: None,
        }
    }
}

pub(crate) async fn run(attempt: Attempt<'_>, stop: watch::Receiver<Option<Stop>>, abort: CancellationToken) -> Ended {
    let mut record = Record::new(attempt.claimed_at);
    let verdict = match phases(&attempt, &mut record, stop, &abort).await {
        Ok(verdict) => verdict,
        Err(Interrupted::Canceled) => Verdict::Canceled,
        Err(Interrupted::Failed { reason, message }) => {
            record.message = Some(message);
            Verdict::Failed { reason }
        }
        Err(Interrupted::Silent) => {
            tracing::warn!("the attempt stops without a report: it was overtaken, or this executor shuts down");
            attempt.parts.metrics.attempts.with_label_values(&["silent"]).inc();
            return Ended::Unreported;
        }
    };
    let ended = match &verdict {
        Verdict::Exited { .. } => "exited",
        Verdict::Failed { reason } => reason.as_str(),
        Verdict::Canceled => "canceled",
    };
    record.times.ended_at = Timestamp::now();
    let (exit_code, cleanup) = (record.exit_code, record.cleanup);
    let end = RunEnd::Finished(Box::new(finished(&attempt, record, verdict)));
    attempt.parts.metrics.attempts.with_label_values(&[ended]).inc();
    let reporting = Instant::now();
    let sent = attempt.feed.end(end).await;
    attempt.parts.metrics.phase("report", reporting);
    if cleanup == CleanupStatus::Failed {
        attempt.slot.retire();
    }
    match sent {
        Ok(()) => {
            tracing::info!(ended, exit_code, "attempt ended");
            Ended::Reported
        }
        Err(error) => {
            tracing::error!(%error, "the ending could not be published, the job will be redelivered");
            Ended::Unreported
        }
    }
}

async fn phases(
    attempt: &Attempt<'_>,
    record: &mut Record,
    mut stop: watch::Receiver<Option<Stop>>,
    abort: &CancellationToken,
) -> Result<Verdict, Interrupted> {
    let (parts, feed) = (attempt.parts, &attempt.feed);
    feed.status(RunStatus::Starting).await;
    let env = environment::open(attempt)?;
    let begun = Instant::now();
    feed.status(RunStatus::Extracting).await;
    let (tree, template) = {
        let trees =
            Box::pin(async { tokio::try_join!(fetch::tree(attempt, &mut record.times), template::tree(attempt)) });
        tokio::select! {
            trees = trees => trees?,
            interrupted = stopped(&mut stop, abort) => return Err(interrupted),
        }
    };
    parts.metrics.phase("extract", begun);
    let trees = Trees { archive: tree, template };
    let verdict = command::run(attempt, &trees, &env, record, stop, abort).await;
    // Pinned until the mounts of them are gone.
    drop(trees);
    verdict
}

/// Returns when the attempt should not go on.
async fn stopped(stop: &mut watch::Receiver<Option<Stop>>, abort: &CancellationToken) -> Interrupted {
    tokio::select! {
        told = stop.wait_for(Option::is_some) => match told.map(|stop| *stop) {
            Ok(Some(Stop::Canceled)) => Interrupted::Canceled,
            _ => Interrupted::Silent,
        },
        () = abort.cancelled() => Interrupted::Silent,
    }
}

fn finished(attempt: &Attempt<'_>, record: Record, verdict: Verdict) -> Finished {
    let limits = attempt.parts.limits;
    Finished {
        executor_id: attempt.parts.id.clone(),
        sandbox_id: attempt.sandbox_id.clone(),
        command_id: attempt.command_id.clone(),
        verdict,
        message: record.message,
        exit_code: record.exit_code,
        signal: record.signal,
        oom_killed: record.oom_killed,
        cleanup: record.cleanup,
        times: record.times,
        resources: record.resources,
        limits: Limits {
            memory_bytes: limits.memory_bytes,
            pids: u64::from(limits.pids),
            cpu_millis: Some(u64::from(limits.cpu_millis)),
            disk_bytes: attempt.parts.disk_bytes,
            timeout_ms: attempt.job.timeout_ms,
        },
        streams: record.streams,
        redactions: record.redactions,
        truncated_streams: record.truncated_streams,
        artifacts: record.artifacts,
        artifact_errors: record.artifact_errors,
        test_reports: record.test_reports,
        egress: record.egress,
    }
}
