//! Files of strangers on our disk: finding and reading the artifacts that a run asked for.
mod artifact;
mod folder;
mod pattern;
mod place;
mod walk;

pub use artifact::{Artifact, ArtifactError, ArtifactFile, open_artifact, open_match};
pub use folder::{ArtifactFolder, LeftOut, write_tar};
pub use pattern::{Matches, Pattern};
pub use place::normalize;
pub use walk::{Budget, WalkError};
