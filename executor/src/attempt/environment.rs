//! The environment variables of a run, decrypted for its command. A run that was given some never runs without them.

use schemas::env::{EnvValues, sealing_context};
use schemas::run::FailureReason;

use super::{Attempt, Interrupted};

/// Decrypts the variables. No failure here is the client's fault, and no message contains a value.
pub(super) fn open(attempt: &Attempt<'_>) -> Result<EnvValues, Interrupted> {
    let job = attempt.job;
    if job.env_keys.is_empty() {
        return Ok(EnvValues::default());
    }
    let failed = |message: String| {
        tracing::error!(message, "cannot get the environment variables of the run");
        Interrupted::Failed { reason: FailureReason::InternalError, message }
    };
    let Some(sealed) = &attempt.sealed_env else {
        return Err(failed("the environment variables of this run are not stored any more".to_owned()));
    };
    let Some(keyring) = &attempt.context.keyring else {
        let message = "the environment variables cannot be decrypted: this executor has no key (--env-key-file)";
        return Err(failed(message.to_owned()));
    };
    let plain = keyring
        .open(sealed, &sealing_context(&job.org_id, &job.run_id))
        .map_err(|error| failed(format!("the environment variables cannot be decrypted: {error}")))?;
    // serde's errors could show what they are about.
    let env = serde_json::from_slice::<EnvValues>(&plain).ok().filter(|env| env.names() == job.env_keys);
    env.ok_or_else(|| failed("the environment variables are not those that the run was given".to_owned()))
}
