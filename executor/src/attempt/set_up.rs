//! The sandbox of an attempt, from the request to the started command.

use std::ffi::OsString;
use std::sync::Arc;

use schemas::env::EnvValues;
use schemas::run::CleanupStatus;
use tracing::Instrument as _;

use super::command::unavailable;
use super::record::Record;
use super::{Attempt, Interrupted, Trees};
use crate::dispatch::halt::Halt;
use sandbox::{HOME_PROGRAMS, Network, Root, Sandbox, SandboxSpec};

/// Starts the sandbox. If the attempt is told to stop meanwhile, the sandbox is removed as soon as it is there. The slot
/// is in use until then (`SandboxHost::settle`).
pub(super) async fn sandbox(
    attempt: &Attempt<'_>,
    trees: &Arc<Trees>,
    env: &EnvValues,
    record: &mut Record,
    halt: &Halt,
) -> Result<Sandbox, Interrupted> {
    let job = attempt.job;
    let (host, slot, trees) = (attempt.context.host.clone(), attempt.slot.number, Arc::clone(trees));
    let (label, env) = (format!("{}-{}", job.run_id, attempt.number), variables(attempt, env));
    let (command, limits) = (OsString::from(&job.command), attempt.context.limits);
    let network = if job.egress.is_some() { Network::Proxy } else { Network::Nothing };
    let starting = async move {
        let spec = SandboxSpec {
            label: &label,
            slot,
            lower: trees.archive.path(),
            root: trees.template.as_ref().map_or(Root::Host, |template| Root::Tree(template.path())),
            command: &command,
            env: &env,
            limits,
            network,
        };
        let started = host.start(spec).await;
        (started, trees)
    };
    let mut starting = Box::pin(starting.in_current_span());
    let stop = tokio::select! {
        // The first look takes the slot.
        biased;
        (started, _) = &mut starting => return started.map_err(|error| unavailable(&error)),
        stop = halt.told() => stop,
    };
    record.cleanup = CleanupStatus::Pending;
    let removing = async move {
        if let (Ok(sandbox), trees) = starting.await {
            if let Err(error) = sandbox.finish().await.cleanup {
                tracing::error!(%error, "a sandbox that nobody needs any more was not completely removed");
            }
            drop(trees);
        }
    };
    tokio::spawn(removing.in_current_span());
    Err(stop.into())
}

/// The run's own variables come later, and so win over those of its template.
fn variables(attempt: &Attempt<'_>, env: &EnvValues) -> Vec<(OsString, OsString)> {
    let job = attempt.job;
    let template = job.template.root_fs.iter().flat_map(|root_fs| &root_fs.env).map(|(name, value)| match &**name {
        "PATH" => (name.into(), format!("{HOME_PROGRAMS}:{value}").into()),
        _ => (name.into(), value.into()),
    });
    let own = env.reveal().iter().map(|(name, value)| (name.into(), value.into()));
    let id = ("CROWNEST_RUN_ID".into(), job.run_id.as_str().into());
    template.chain(own).chain([id]).collect()
}
