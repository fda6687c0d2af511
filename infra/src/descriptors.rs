//! The process's limit of open files, which bounds how many connections it can have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to so many files if it is lower, as far as this process may. Returns the limit.
pub fn raise_limit(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let current = now.current.unwrap_or(u64::MAX);
    let possible = wanted.min(now.maximum.unwrap_or(u64::MAX));
    if current >= possible {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: now.maximum }) {
        Ok(()) => possible,
        Err(error) => {
            tracing::warn!(%error, current, possible, "cannot raise the limit of open files");
            current
        }
    }
}
