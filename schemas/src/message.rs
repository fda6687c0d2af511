//! Messages between services. Every message is versioned; one that cannot be decoded is dead-lettered, never guessed.

mod ending;
mod envelope;
mod event;
mod job;
mod notice;
pub mod partition;
mod room;
pub mod usage;

pub use ending::{
    AttemptEnd, CollectedArtifact, Finished, Limits, PhaseTimes, Resources, RunEnd, StreamTotals, Verdict,
};
pub use envelope::{DecodeError, EncodeError, MAX_BYTES, decode_json, encode_json};
pub use event::{EventMessage, LAST_SEQ, SEGMENT_FRAME_BYTES, SEGMENT_PLAIN_BYTES, Segment};
pub use job::{Job, RootFs, TemplateRef};
pub use notice::{Control, LiveNotice, LiveRun};
pub use room::Room;
