//! Files of strangers on our disk: reading the artifacts that a run asked for, and removing what it left.
mod artifact;
mod folder;
mod pattern;
mod removal;
mod usage;
mod walk;

pub use artifact::{Artifact, ArtifactError, ArtifactFile, open_artifact, open_match};
pub use folder::{ArtifactFolder, LeftOut, write_tar};
pub use pattern::{MATCHES, Matches, Pattern};
pub(crate) use removal::remove_tree;
pub(crate) use usage::{Usage, usage};
pub use walk::{Budget, WalkError};
