//! The command in its sandbox: started, watched against the clock and cancellation, ended, and its traces removed.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use schemas::Timestamp;
use schemas::env::EnvValues;
use schemas::message::{Resources, Verdict};
use schemas::run::{CleanupStatus, FailureReason, RunStatus};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::record::Record;
use super::streams::Streams;
use super::{Attempt, Interrupted, Trees, collect, stopped};
use crate::dispatch::running::Stop;
use crate::egress::Proxy;
use crate::output::redact::Redaction;
use sandbox::{Exit, HOME_PROGRAMS, Kept, Network, Root, Sandbox, SandboxError, SandboxSpec};

pub(super) async fn run(
    attempt: &Attempt<'_>,
    trees: &Trees,
    env: &EnvValues,
    record: &mut Record,
    stop: watch::Receiver<Option<Stop>>,
    abort: &CancellationToken,
) -> Result<Verdict, Interrupted> {
    let context = attempt.context;
    let begun = Instant::now();
    let redaction = redaction(env).await?;
    let mut sandbox = start(attempt, trees, env).await.map_err(|error| unavailable(&error))?;
    let started = Instant::now();
    record.times.started_at = Some(Timestamp::now());
    context.metrics.phase("start", begun);
    attempt.feed.status(RunStatus::Running).await;
    let proxy = sandbox.take_listener().zip(attempt.job.egress.clone());
    let proxy = proxy.map(|(listener, policy)| Proxy::start(listener, policy, &context.gateway));
    let streams = Streams::read(attempt, &mut sandbox, &redaction);
    let watched = watch_over(attempt, &mut sandbox, stop.clone(), abort).await;
    record.times.finished_at = Some(Timestamp::now());
    record.times.command_ms = Some(millis(started.elapsed()));
    context.metrics.phase("command", started);
    if let Some(proxy) = proxy {
        let report = proxy.finish().await;
        context.metrics.egress(&report);
        record.egress = Some(report);
    }
    let watched = match watched {
        Err(Interrupted::Silent) => {
            streams.abandon();
            Err(Interrupted::Silent)
        }
        watched => tokio::select! {
            () = streams.finish(attempt, record) => watched,
            () = silenced(stop, abort) => Err(Interrupted::Silent),
        },
    };
    record.redactions = redaction.count();
    context.metrics.redactions.inc_by(record.redactions);

    let verdict = match watched {
        Ok((exit, cause)) => {
            record.exit_code = exit.exit_code;
            record.signal = exit.signal;
            attempt.feed.status(RunStatus::Collecting).await;
            if !attempt.job.artifacts.is_empty() {
                let collecting = Instant::now();
                collect::artifacts(attempt, sandbox.workspace(), record).await;
                context.metrics.phase("collect", collecting);
            }
            record.times.collected_at = Some(Timestamp::now());
            Ok((exit, cause))
        }
        Err(interrupted) => Err(interrupted),
    };
    let cleaning = Instant::now();
    finish(attempt, record, sandbox, begun).await;
    context.metrics.phase("clean_up", cleaning);
    verdict.map(|(exit, cause)| judge(exit, cause, record))
}

/// Prepares the search for secrets, which takes up to 0.2 s with many long ones.
async fn redaction(env: &EnvValues) -> Result<Redaction, Interrupted> {
    if env.is_empty() {
        return Ok(Redaction::default());
    }
    let env = env.clone();
    let failure = match tokio::task::spawn_blocking(move || Redaction::of(&env)).await {
        Ok(Ok(redaction)) => return Ok(redaction),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let message = format!("the output could not be searched for secrets: {failure}");
    Err(Interrupted::Failed { reason: FailureReason::InternalError, message })
}

async fn start(attempt: &Attempt<'_>, trees: &Trees, env: &EnvValues) -> Result<Sandbox, SandboxError> {
    let job = attempt.job;
    // The run's own variables come later, and so win over those of its template.
    let template = job.template.root_fs.iter().flat_map(|root_fs| &root_fs.env).map(|(name, value)| match &**name {
        "PATH" => (name.into(), format!("{HOME_PROGRAMS}:{value}").into()),
        _ => (name.into(), value.into()),
    });
    let own = env.reveal().iter().map(|(name, value)| (name.into(), value.into()));
    let mut env: Vec<(OsString, OsString)> = template.chain(own).collect();
    env.push(("CROWNEST_RUN_ID".into(), job.run_id.as_str().into()));
    let spec = SandboxSpec {
        label: &format!("{}-{}", job.run_id, attempt.number),
        slot: attempt.slot.number,
        lower: trees.archive.path(),
        root: trees.template.as_ref().map_or(Root::Host, |template| Root::Tree(template.path())),
        command: job.command.as_ref(),
        env: &env,
        limits: attempt.context.limits,
        network: if job.egress.is_some() { Network::Proxy } else { Network::Nothing },
    };
    attempt.context.host.start(spec).await
}

/// The cause of the command's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Itself,
    Timeout,
    Canceled,
}

async fn watch_over(
    attempt: &Attempt<'_>,
    sandbox: &mut Sandbox,
    mut stop: watch::Receiver<Option<Stop>>,
    abort: &CancellationToken,
) -> Result<(Exit, Cause), Interrupted> {
    let timeout = tokio::time::sleep(Duration::from_millis(attempt.job.timeout_ms));
    let cause = tokio::select! {
        exit = sandbox.wait() => return exit.map(|exit| (exit, Cause::Itself)).map_err(|error| unavailable(&error)),
        () = timeout => Cause::Timeout,
        interrupted = stopped(&mut stop, abort) => match interrupted {
            Interrupted::Canceled => Cause::Canceled,
            other => return Err(other),
        },
    };
    tracing::info!(?cause, "the command is asked to end");
    if let Err(error) = sandbox.terminate() {
        tracing::warn!(%error, "cannot ask the command to end");
    }
    tokio::select! {
        exit = sandbox.wait() => return exit.map(|exit| (exit, cause)).map_err(|error| unavailable(&error)),
        () = tokio::time::sleep(attempt.context.grace) => {}
        () = abort.cancelled() => return Err(Interrupted::Silent),
    }
    tracing::info!(?cause, "the command did not end in time and is killed");
    if let Err(error) = sandbox.kill() {
        tracing::error!(%error, "cannot kill the sandbox");
    }
    sandbox.wait().await.map(|exit| (exit, cause)).map_err(|error| unavailable(&error))
}

fn judge(exit: Exit, cause: Cause, record: &mut Record) -> Verdict {
    match (cause, exit.exit_code) {
        (Cause::Canceled, _) => Verdict::Canceled,
        (Cause::Timeout, _) => {
            record.message = Some("the command ran longer than its time limit".to_owned());
            Verdict::Failed { reason: FailureReason::Timeout }
        }
        (Cause::Itself, Some(exit_code)) => {
            if exit_code != 0 {
                record.message = limit_reached(record).map(str::to_owned);
            }
            Verdict::Exited { exit_code }
        }
        (Cause::Itself, None) if record.oom_killed => {
            record.message = Some("the kernel ended the sandbox because its memory limit was reached".to_owned());
            Verdict::Failed { reason: FailureReason::CommandExit }
        }
        (Cause::Itself, None) if record.disk.is_some_and(|disk| disk.kept == Kept::ByMeasuring { ended_run: true }) => {
            let message = "the sandbox was ended because it had more on disk (/workspace and /tmp) than its limit";
            record.message = Some(message.to_owned());
            Verdict::Failed { reason: FailureReason::CommandExit }
        }
        (Cause::Itself, None) => {
            record.message = Some("the sandbox ended before the command's exit code was seen".to_owned());
            Verdict::Failed { reason: FailureReason::SandboxUnavailable }
        }
    }
}

/// The limit that a command which failed by itself has reached, if one is known.
fn limit_reached(record: &Record) -> Option<&'static str> {
    if record.oom_killed {
        return Some("the kernel killed a process of the command because the memory limit was reached");
    }
    let disk = record.disk.filter(|disk| disk.is_full)?;
    Some(match disk.kept {
        Kept::ByFileSystem => {
            "the disk limit (/workspace and /tmp) was reached: no space or no inode was left at the end"
        }
        Kept::ByMeasuring { .. } => "the disk limit (/workspace and /tmp) was exceeded at the end",
    })
}

/// Returns when the attempt should stop without a report; a cancellation comes too late for that.
async fn silenced(mut stop: watch::Receiver<Option<Stop>>, abort: &CancellationToken) {
    if let Interrupted::Canceled = stopped(&mut stop, abort).await {
        abort.cancelled().await;
    }
}

/// Kernel counters into the record, and every trace of the sandbox removed.
async fn finish(attempt: &Attempt<'_>, record: &mut Record, sandbox: Sandbox, begun: Instant) {
    let finished = sandbox.finish().await;
    record.times.sandbox_ms = millis(begun.elapsed());
    record.oom_killed = finished.oom_killed;
    record.disk = finished.disk;
    let disk_full = finished.disk.is_some_and(|disk| disk.is_full);
    for (limit, reached) in [("memory", record.oom_killed), ("disk", disk_full)] {
        if reached {
            attempt.context.metrics.limits_reached.with_label_values(&[limit]).inc();
        }
    }
    attempt.context.metrics.cpu_throttled_ms.inc_by(finished.usage.cpu_throttled_ms.unwrap_or(0));
    record.resources = Resources {
        cpu_user_ms: finished.usage.cpu_user_ms,
        cpu_system_ms: finished.usage.cpu_system_ms,
        cpu_throttled_ms: finished.usage.cpu_throttled_ms,
        memory_peak_bytes: finished.usage.memory_peak_bytes,
        io_read_bytes: finished.usage.io_read_bytes,
        io_write_bytes: finished.usage.io_write_bytes,
        pids_peak: finished.usage.pids_peak,
        disk_used_bytes: finished.disk.map(|disk| disk.used_bytes),
    };
    record.cleanup = match finished.cleanup {
        Ok(()) => CleanupStatus::Succeeded,
        Err(error) => {
            tracing::error!(%error, "a sandbox was not completely removed; its slot is blocked until the next start");
            CleanupStatus::Failed
        }
    };
}

fn unavailable(error: &SandboxError) -> Interrupted {
    tracing::error!(%error, "cannot have a sandbox");
    let reason = if error.is_unavailable() { FailureReason::SandboxUnavailable } else { FailureReason::InternalError };
    Interrupted::Failed { reason, message: error.summary() }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
