//! `crownest workspace-runs run-archive`: submits, streams, and exits as the run did.

use std::process::ExitCode;

use schemas::id::RunId;
use serde_json::Value;

use super::run_record;
use super::submit::{Submitted, submit};
use crate::archive_file::ArchiveFile;
use crate::args::run_request::RunRequestArgs;
use crate::args::workspace_runs::RunArchiveArgs;
use crate::client::idempotency::IdempotencyKey;
use crate::client::{Client, Follower};
use crate::failure::{Failure, Stop};
use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::output::{Output, field};

pub(super) async fn run(args: RunArchiveArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let archive = ArchiveFile::open(&args.file).await?;
    on_archive(&args.request, &archive, args.no_wait, client, output).await
}

pub(super) async fn on_archive(
    request: &RunRequestArgs,
    archive: &ArchiveFile,
    no_wait: bool,
    client: &Client,
    output: &mut Output,
) -> Result<ExitCode, Stop> {
    let interrupt = Interrupt::listen(client, output.is_json())?;
    let submitted = tokio::select! {
        submitted = submit(request, archive, client, &interrupt, output) => Some(submitted),
        () = interrupt.first() => None,
    };
    stream(submitted, &interrupt, no_wait, client, output).await
}

/// Follows a run that was submitted, unless an interrupt came first (`None`).
pub(super) async fn stream(
    submitted: Option<Result<Submitted, Failure>>,
    interrupt: &Interrupt,
    no_wait: bool,
    client: &Client,
    output: &mut Output,
) -> Result<ExitCode, Stop> {
    let id = match (submitted.transpose()?, interrupt.run()) {
        (Some(Submitted { run, .. }), _) if no_wait => {
            output.result(&run, run_record::readable)?;
            return Ok(ExitCode::SUCCESS);
        }
        (Some(Submitted { id, .. }), _) => id,
        (None, Some(id)) => {
            // Interrupted in between, perhaps at the very moment of its creation. Canceling twice does no harm.
            client.cancel_run(&id, &IdempotencyKey::generate()).await?;
            id
        }
        (None, None) => return Ok(ExitCode::from(EXIT_INTERRUPTED)),
    };
    match follow(&id, client, output).await {
        // The output has lost its reader and the outcome is unknown, which must not look like success.
        Err(Stop::BrokenPipe) => Ok(ExitCode::FAILURE),
        result => result,
    }
}

async fn follow(id: &RunId, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let mut events = Follower::live(client, id);
    let mut ended = None;
    while let Some(event) = events.next().await? {
        output.event(&event)?;
        ended = event.terminal_run().cloned();
    }
    let run = match ended {
        Some(run) => run,
        // The run ended, but its last event did not come: the run itself knows.
        None => client.run(id).await?,
    };
    Ok(conclude(&run, output))
}

/// The exit code of the run. An unsuccessful run never exits with 0, and a run without an exit code is explained.
fn conclude(run: &Value, output: &mut Output) -> ExitCode {
    if let Some(tests) = run_record::tests(run) {
        output.note(&format!("tests: {tests}"));
    }
    let code = run["exitCode"].as_i64();
    match (field(run, "status").as_str(), code) {
        ("succeeded", None | Some(0)) => ExitCode::SUCCESS,
        ("failed", Some(code)) if code != 0 && field(run, "failureReason") == "command_exit" => exit_code(code),
        (_, code) => {
            output.warn(&explanation(run));
            exit_code(code.filter(|&code| code != 0).unwrap_or(1))
        }
    }
}

/// A code that no process can exit with is still a failure.
fn exit_code(code: i64) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn explanation(run: &Value) -> String {
    let id = field(run, "id");
    let limit = run["timeoutMs"].as_u64().map(|limit| format!(" of {limit} ms")).unwrap_or_default();
    let what = match (field(run, "status").as_str(), field(run, "failureReason").as_str()) {
        ("canceled", _) => "was canceled".to_owned(),
        (_, "timeout") => format!("exceeded its time limit{limit}"),
        (status, "") => format!("ended as `{status}`"),
        (status, reason) => match field(run, "failureClass").as_str() {
            "platform" => format!("{status}: {reason}, a failure of the platform, not of the command"),
            _ => format!("{status}: {reason}"),
        },
    };
    format!("{id} {what}; see `crownest workspace-runs evidence {id}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_success_exits_with_zero() {
        let check = |run: Value, expected: u8| {
            let code = conclude(&run, &mut Output::new(true));
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(expected)), "{run}");
        };
        check(json!({"status": "succeeded", "exitCode": 0}), 0);
        check(json!({"status": "failed", "exitCode": 7, "failureReason": "command_exit"}), 7);
        check(json!({"status": "failed", "exitCode": 0, "failureReason": "internal_error"}), 1);
        check(json!({"status": "failed", "exitCode": 300, "failureReason": "command_exit"}), 1);
        check(json!({"status": "failed", "failureReason": "timeout"}), 1);
        check(json!({"status": "canceled", "exitCode": 143}), 143);
        check(json!({"status": "canceled"}), 1);
        check(json!({}), 1);
    }

    #[test]
    fn explanations_say_what_happened() {
        let run = json!({"id": "wsr_1", "status": "failed", "failureReason": "timeout", "timeoutMs": 5});
        assert!(explanation(&run).starts_with("wsr_1 exceeded its time limit of 5 ms;"));
        let run =
            json!({"id": "wsr_1", "status": "failed", "failureReason": "internal_error", "failureClass": "platform"});
        assert!(explanation(&run).starts_with("wsr_1 failed: internal_error, a failure of the platform"));
    }
}
