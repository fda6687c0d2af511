//! Event partition of a run: all messages of one run travel through one queue, in order.

use sha2::{Digest, Sha256};

use crate::id::RunId;

/// Number of event partitions. Changing it needs drained queues, since a run must not move while it runs.
pub const EVENT_PARTITIONS: u32 = 4;

pub fn of_run(run: &RunId) -> u32 {
    let digest = Sha256::digest(run.as_str().as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % EVENT_PARTITIONS
}
