//! Archives of strangers, and root file systems of templates: extraction onto disk, and the cache that does it once per
//! digest.
mod beneath;
mod cache;
mod error;
mod extract;
mod limits;
mod metered;
mod root_fs;
mod shelf;

pub use cache::{CacheConfig, CacheError, CachedTree, TreeCache, TreeKey};
pub use error::{ExtractError, Limit};
pub use extract::{Extracted, extract};
pub use limits::ExtractLimits;
