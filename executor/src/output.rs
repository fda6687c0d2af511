//! The output of a command, on its way from two pipes to events: secrets are replaced, characters stay whole, and of a long
//! stream the first and the last part are kept.

mod characters;
mod copy;
mod held;
pub(crate) mod redact;
mod stream;
mod tail;

pub(crate) use copy::{OutputCap, copy};
pub(crate) use held::{Held, Totals};
pub(crate) use stream::Stream;
