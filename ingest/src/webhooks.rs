//! Webhooks after the Standard Webhooks specification: signed messages to addresses that strangers chose.
//! `target` decides which addresses may be reached, `send` makes one attempt, `periodic::deliver_webhooks` schedules attempts.

mod send;
mod signature;
mod target;

pub(crate) use send::{Outcome, send};
pub(crate) use target::check_url;

/// Bytes of a new secret; the specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;

pub(crate) fn new_secret() -> [u8; SECRET_BYTES] {
    let mut secret = [0; SECRET_BYTES];
    // Without entropy no secret of this process can be trusted: stopping is the only safe answer.
    getrandom::fill(&mut secret).expect("the operating system provides randomness");
    secret
}
