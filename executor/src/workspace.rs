//! Files of strangers on our disk: reading the artifacts that a run asked for, and removing what it left.
mod artifact;
mod removal;

pub use artifact::{ArtifactError, ArtifactFile, open_artifact};
pub(crate) use removal::remove_tree;
