//! Extraction of strangers' archives, and of the root file systems of templates, onto disk.
mod ahead;
mod beneath;
mod block;
mod error;
mod extract;
mod limits;
mod links;
mod members;
mod pax;
mod root_fs;
mod sparse;

pub use error::{ExtractError, Limit};
pub(crate) use extract::extract_for;
pub use extract::{Extracted, extract};
pub use limits::ExtractLimits;
pub(crate) use root_fs::extract_root_fs;
