//! Places of tiles and entry bundles (C2SP tlog-tiles): coordinates, and the one way to write them as a path.

use std::fmt;
use std::str::FromStr;

use super::{MAX_TREE_SIZE, entry, note};

/// Hashes of a full tile, and entries of a full bundle.
pub const FULL_WIDTH: u64 = 256;
/// Highest level of a tile in a tree of [`MAX_TREE_SIZE`] leaves.
pub const MAX_LEVEL: u8 = 6;
/// Longer paths are refused unread.
const MAX_PATH_BYTES: usize = 64;

/// Consecutive hashes of the tree at one height: of leaves at level 0, of full tiles of the level below at all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

impl Tile {
    /// The tile of a tree of this size; `None` if the tree has nothing there.
    pub fn in_tree(level: u8, index: u64, tree_size: u64) -> Option<Self> {
        if level > MAX_LEVEL || tree_size > MAX_TREE_SIZE {
            return None;
        }
        let hashes = tree_size >> (8 * u32::from(level));
        let width = hashes.checked_sub(index.checked_mul(FULL_WIDTH)?)?.min(FULL_WIDTH);
        u16::try_from(width).ok().filter(|width| *width > 0).map(|width| Self { level, index, width })
    }

    pub fn level(self) -> u8 {
        self.level
    }

    pub fn index(self) -> u64 {
        self.index
    }

    /// Number of hashes, 1 to 256.
    pub fn width(self) -> usize {
        usize::from(self.width)
    }

    pub fn is_full(self) -> bool {
        u64::from(self.width) == FULL_WIDTH
    }

    /// The full tile that takes its place once the tree has grown, and begins with the same hashes.
    pub fn filled(self) -> Self {
        Self { width: 256, ..self }
    }
}

/// A resource below the log's prefix. `Display` writes its path, without a leading slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    Checkpoint,
    Hashes(Tile),
    /// The entries whose leaf hashes this tile of level 0 has.
    Entries(Tile),
}

impl Resource {
    /// Key of the object in the bucket.
    pub fn object_key(self) -> String {
        format!("tlog/{self}")
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Checkpoint => "text/plain; charset=utf-8",
            Self::Hashes(_) | Self::Entries(_) => "application/octet-stream",
        }
    }

    /// Size of the largest object that the log writes there.
    pub fn max_bytes(self) -> usize {
        match self {
            Self::Checkpoint => note::MAX_BYTES,
            Self::Hashes(tile) => tile.width() * 32,
            Self::Entries(_) => entry::MAX_BUNDLE_BYTES,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `checkpoint`, `tile/<level>/<index>[.p/<width>]` or `tile/entries/<index>[.p/<width>]`")]
pub struct InvalidPath;

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tile = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Hashes(tile) => {
                write!(f, "tile/{}", tile.level)?;
                tile
            }
            Self::Entries(tile) => {
                f.write_str("tile/entries")?;
                tile
            }
        };
        // Groups of three digits, the most significant first; all but the last begin with an `x`.
        let digits = tile.index.to_string();
        let groups = digits.len().div_ceil(3);
        let padded = format!("{digits:0>width$}", width = groups * 3);
        for (at, group) in padded.as_bytes().chunks(3).enumerate() {
            let mark = if at + 1 < groups { "x" } else { "" };
            write!(f, "/{mark}{}", String::from_utf8_lossy(group))?;
        }
        if tile.is_full() { Ok(()) } else { write!(f, ".p/{}", tile.width) }
    }
}

impl FromStr for Resource {
    type Err = InvalidPath;

    fn from_str(path: &str) -> Result<Self, InvalidPath> {
        if path == "checkpoint" {
            return Ok(Self::Checkpoint);
        }
        let resource = parse(path).ok_or(InvalidPath)?;
        // Only one spelling is accepted, so that every resource has one name in caches.
        if resource.to_string() == path { Ok(resource) } else { Err(InvalidPath) }
    }
}

fn parse(path: &str) -> Option<Resource> {
    let rest = path.strip_prefix("tile/").filter(|_| path.len() <= MAX_PATH_BYTES)?;
    let (kind, rest) = rest.split_once('/')?;
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok().filter(|width| (1..=255).contains(width))?),
        None => (rest, 256),
    };
    let digits: String = index.split('/').map(|group| group.strip_prefix('x').unwrap_or(group)).collect();
    let index = digits.parse().ok()?;
    let level = if kind == "entries" { 0 } else { kind.parse().ok()? };
    let tile = Tile { level, index, width };
    // The tile must be one of some tree.
    let size = index
        .checked_mul(FULL_WIDTH)?
        .checked_add(u64::from(width))?
        .checked_mul(256_u64.checked_pow(level.into())?)?;
    Tile::in_tree(level, index, size).filter(|found| *found == tile)?;
    Some(if kind == "entries" { Resource::Entries(tile) } else { Resource::Hashes(tile) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |level, index, width| Tile { level, index, width };
        for (resource, path) in [
            (Resource::Checkpoint, "checkpoint"),
            (Resource::Hashes(tile(0, 0, 256)), "tile/0/000"),
            (Resource::Hashes(tile(1, 999, 1)), "tile/1/999.p/1"),
            (Resource::Hashes(tile(2, 1000, 255)), "tile/2/x001/000.p/255"),
            (Resource::Hashes(tile(0, 1_234_067, 256)), "tile/0/x001/x234/067"),
            (Resource::Entries(tile(0, 1_234_067, 8)), "tile/entries/x001/x234/067.p/8"),
        ] {
            assert_eq!(resource.to_string(), path);
            assert_eq!(path.parse(), Ok(resource));
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for path in [
            "",
            "/checkpoint",
            "checkpoint/",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/7/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/x000/000",
            "tile/0/x000",
            "tile/0/001/000",
            "tile/0/x01/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000.p",
            "tile/0/000.p/1/2",
            "tile/entries/../000",
            "tile/entries/0/000",
            "tile/0/..",
            "tile/0/000 ",
            "tile/0/00\u{663}",
            "tile/0/000%2e",
            "tile/0/x999/x999/x999/x999/x999/999",
            "tile/6/x001/000",
        ] {
            assert_eq!(path.parse::<Resource>(), Err(InvalidPath), "{path}");
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_that_the_specification_lists() {
        let width = |level, index| Tile::in_tree(level, index, 70_000).map(Tile::width);
        assert_eq!((width(0, 272), width(0, 273), width(0, 274)), (Some(256), Some(112), None));
        assert_eq!((width(1, 0), width(1, 1), width(1, 2)), (Some(256), Some(17), None));
        assert_eq!((width(2, 0), width(2, 1), width(3, 0)), (Some(1), None, None));
        assert_eq!(Tile::in_tree(1, 0, 256).map(Tile::width), Some(1));
        assert_eq!(Tile::in_tree(0, 0, 0), None);
        assert_eq!(Tile::in_tree(0, u64::MAX, MAX_TREE_SIZE), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(level in 0..=MAX_LEVEL, index in 0..1_u64 << 45, size in 0..=MAX_TREE_SIZE) {
            if let Some(tile) = Tile::in_tree(level, index >> (8 * u32::from(level)), size) {
                let resource = Resource::Hashes(tile);
                prop_assert_eq!(resource.to_string().parse(), Ok(resource));
            }
        }

        #[test]
        fn no_path_is_read_in_two_ways(path in "(tile/)?([0-9x./p]|entries){0,24}") {
            if let Ok(resource) = path.parse::<Resource>() {
                prop_assert_eq!(resource.to_string(), path);
            }
        }
    }
}
