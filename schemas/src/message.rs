//! The messages between services. Every one is versioned; what cannot be decoded is dead-lettered, never guessed.

mod envelope;
mod event;
mod job;
mod notice;

pub use envelope::{DecodeError, decode_json, encode_json};
pub use event::{
    AttemptEnd, CollectedArtifact, EventMessage, Finished, Limits, PhaseTimes, Resources, RunEnd, Segment,
    StreamTotals, Verdict,
};
pub use job::{ArchiveRef, ArtifactRequest, Job, RootFs, TemplateRef};
pub use notice::{Control, LiveNotice, LiveRun};
