//! The command in its sandbox: started, watched against the clock and cancellation, ended, and its traces removed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::Timestamp;
use schemas::env::EnvValues;
use schemas::message::Verdict;
use schemas::run::{FailureReason, RunStatus};

use super::record::Record;
use super::streams::Streams;
use super::{Attempt, Interrupted, Trees, clean_up, collect, set_up};
use crate::dispatch::halt::Halt;
use crate::dispatch::running::Stop;
use crate::egress::Proxy;
use crate::output::redact::Redaction;
use sandbox::{Exit, Kept, Sandbox, SandboxError};

pub(super) async fn run(
    attempt: &Attempt<'_>,
    trees: Arc<Trees>,
    env: &EnvValues,
    record: &mut Record,
    halt: &Halt,
) -> Result<Verdict, Interrupted> {
    let context = attempt.context;
    let begun = Instant::now();
    let redaction = redaction(env).await?;
    let mut sandbox = set_up::sandbox(attempt, &trees, env, record, halt).await?;
    let started = Instant::now();
    record.times.started_at = Some(Timestamp::now());
    context.metrics.phase("start", begun);
    attempt.feed.status(RunStatus::Running).await;
    let proxy = sandbox.take_listener().zip(attempt.job.egress.clone());
    let proxy = proxy.map(|(listener, policy)| Proxy::start(listener, policy, &context.gateway));
    let streams = Streams::read(attempt, &mut sandbox, &redaction);
    let watched = watch_over(attempt, &mut sandbox, halt).await;
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
            () = halt.silenced() => Err(Interrupted::Silent),
        },
    };
    record.redactions = redaction.count();
    context.metrics.redactions.inc_by(record.redactions);

    if let Ok((exit, _)) = &watched {
        record.exit_code = exit.exit_code;
        record.signal = exit.signal;
        attempt.feed.status(RunStatus::Collecting).await;
        if !attempt.job.artifacts.is_empty() {
            let collecting = Instant::now();
            collect::artifacts(attempt, sandbox.workspace(), record, halt).await;
            context.metrics.phase("collect", collecting);
        }
        record.times.collected_at = Some(Timestamp::now());
    }
    let cleaning = Instant::now();
    clean_up::sandbox(attempt, record, sandbox, trees, begun, halt).await;
    context.metrics.phase("clean_up", cleaning);
    let (exit, cause) = watched?;
    match halt.now() {
        Some(Stop::Silent) => Err(Interrupted::Silent),
        Some(Stop::Canceled) => {
            if cause != Cause::Canceled {
                record.message = Some("the run was canceled after its command had ended".to_owned());
            }
            Ok(Verdict::Canceled)
        }
        None => Ok(judge(exit, cause, record)),
    }
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

/// The cause of the command's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Itself,
    Timeout,
    Canceled,
}

async fn watch_over(attempt: &Attempt<'_>, sandbox: &mut Sandbox, halt: &Halt) -> Result<(Exit, Cause), Interrupted> {
    let timeout = tokio::time::sleep(Duration::from_millis(attempt.job.timeout_ms));
    let cause = tokio::select! {
        exit = sandbox.wait() => return exit.map(|exit| (exit, Cause::Itself)).map_err(|error| unavailable(&error)),
        () = timeout => Cause::Timeout,
        stop = halt.told() => match stop {
            Stop::Canceled => Cause::Canceled,
            Stop::Silent => return Err(Interrupted::Silent),
        },
    };
    tracing::info!(?cause, "the command is asked to end");
    if let Err(error) = sandbox.terminate() {
        tracing::warn!(%error, "cannot ask the command to end");
    }
    tokio::select! {
        exit = sandbox.wait() => return exit.map(|exit| (exit, cause)).map_err(|error| unavailable(&error)),
        () = tokio::time::sleep(attempt.context.grace) => {}
        () = halt.silenced() => return Err(Interrupted::Silent),
    }
    tracing::info!(?cause, "the command did not end in time and is killed");
    if let Err(error) = sandbox.kill() {
        tracing::error!(%error, "cannot kill the sandbox");
    }
    tokio::select! {
        exit = sandbox.wait() => exit.map(|exit| (exit, cause)).map_err(|error| unavailable(&error)),
        () = halt.silenced() => Err(Interrupted::Silent),
    }
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

pub(super) fn unavailable(error: &SandboxError) -> Interrupted {
    tracing::error!(%error, "cannot have a sandbox");
    let reason = if error.is_unavailable() { FailureReason::SandboxUnavailable } else { FailureReason::InternalError };
    Interrupted::Failed { reason, message: error.summary() }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
