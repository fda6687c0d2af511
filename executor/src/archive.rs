//! Archives of strangers, and root file systems of templates: extraction onto disk, and the cache that does it once per
//! digest.
mod ahead;
mod beneath;
mod block;
mod cache;
mod error;
mod extract;
mod limits;
mod links;
mod members;
mod pax;
mod root_fs;
mod shelf;
mod sparse;

pub use cache::{CacheConfig, CacheError, CachedTree, TreeCache, TreeKey};
pub use error::{ExtractError, Limit};
pub use extract::{Extracted, extract};
pub use limits::ExtractLimits;
