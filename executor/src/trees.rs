//! Extracted archives and root file systems on local disk: made once, shared by runs, evicted when space is short.
mod cache;
mod key;
mod shelf;

pub use cache::{CacheConfig, CacheError, CachedTree, TreeCache};
pub use key::TreeKey;
