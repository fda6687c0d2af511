//! `crownest workspace-runs logs`.

use std::process::ExitCode;

use crate::args::workspace_runs::LogsArgs;
use crate::client::{Client, Follower};
use crate::failure::Stop;
use crate::output::Output;

pub(super) async fn run(args: &LogsArgs, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let mut events = if args.no_follow {
        Follower::stored(client, &args.id, args.after_seq)
    } else {
        Follower::replay(client, &args.id, args.after_seq)
    };
    while let Some(event) = events.next().await? {
        output.event(&event)?;
    }
    Ok(ExitCode::SUCCESS)
}
