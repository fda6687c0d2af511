//! Fetches every entry of the log.

use futures_util::{StreamExt as _, stream};
use schemas::id::RunId;
use schemas::transparency::proof::TreeHead;
use schemas::transparency::tile::{Resource, Tile};
use verifier::audit::{Entries, Finding};

use super::log_reader::{CONCURRENT, or_full};
use crate::client::Client;
use crate::failure::Failure;

/// The findings in the entries of the tree, and about these runs, which are not served.
pub(crate) async fn read_all(client: &Client, tree: TreeHead, missing: Vec<RunId>) -> Result<Vec<Finding>, Failure> {
    let mut entries = Entries::with_missing(missing);
    let bundles = (0..).map_while(|index| Tile::in_tree(0, index, tree.size)).map(|tile| async move {
        (tile, or_full(client, Resource::Entries(tile), Resource::Entries(tile.filled())).await)
    });
    let mut bundles = stream::iter(bundles).buffered(CONCURRENT);
    while let Some((tile, bundle)) = bundles.next().await {
        if let Err(finding) = entries.add(tile, &bundle?) {
            return Ok(vec![finding]);
        }
    }
    Ok(entries.finish(&tree))
}
