//! From a job in the queue to an attempt in a slot: taken, claimed in the database, run, and acknowledged.

mod claim;
pub(crate) mod control;
pub(crate) mod halt;
pub(crate) mod running;
pub(crate) mod slots;
pub(crate) mod worker;
