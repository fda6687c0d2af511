//! `crownest workspace-runs logs`: the output of a run as it was, one stream of it to the byte, or the lines that match.

mod search;

use std::process::ExitCode;

use crate::args::workspace_runs::LogsArgs;
use crate::client::{Channel, Client, Follower};
use crate::failure::{Failure, Stop};
use crate::output::Output;

pub(super) async fn run(args: &LogsArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let after_seq = args.since_seq.map_or(args.after_seq, |first| first.saturating_sub(1));
    let mut events = if args.no_follow {
        Follower::stored(client, &args.id, after_seq)
    } else {
        Follower::replay(client, &args.id, after_seq)
    };
    if args.raw {
        return copy(events, args.stream.map_or(Channel::Stdout, Into::into), output).await;
    }
    if let Some(pattern) = &args.grep {
        return search::run(pattern, args.stream.map(Into::into), events, output).await;
    }
    while let Some(event) = events.next().await? {
        output.event(&event)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The exact bytes of one stream and nothing else; it is an error if some of them are nowhere.
async fn copy(mut events: Follower<'_>, wanted: Channel, output: &mut Output) -> Result<ExitCode, Stop> {
    let mut missing = None;
    while let Some(event) = events.next().await? {
        let Some((channel, bytes)) = event.output() else { continue };
        if channel == wanted {
            missing = missing.or(event.omitted().map(|omitted| (event.seq, omitted)));
            output.raw(&bytes)?;
        }
    }
    let Some((seq, omitted)) = missing else { return Ok(ExitCode::SUCCESS) };
    let message = format!(
        "{} of {} bytes, from offset {} on, were beyond the output cap and are not stored (event {seq}); everything else was printed",
        omitted.bytes, omitted.total_bytes, omitted.offset
    );
    Err(Failure::new("output_incomplete", message).into())
}
