//! Takes what executors publish: stores event messages, hands ended runs to the sealer, and ends the runs of dead
//! letters.

pub(crate) mod dead_letters;
mod frame;
mod spills;
mod store;
pub(crate) mod worker;
