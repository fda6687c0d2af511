//! The limits of a stranger's archive.

/// Every limit is inclusive.
#[derive(Debug, Clone, Copy)]
pub struct ExtractLimits {
    /// Files, directories and links.
    pub entries: u64,
    /// Sum of all file contents after decompression, holes of sparse files included.
    pub unpacked_bytes: u64,
    /// Length of one path.
    pub path_bytes: usize,
    /// Components of one path.
    pub path_depth: usize,
}

impl ExtractLimits {
    /// For what operators import: as much as an import takes.
    pub const ROOT_FS: Self = Self { entries: 2_000_000, unpacked_bytes: 32 << 30, path_bytes: 4000, path_depth: 1000 };
}

impl Default for ExtractLimits {
    fn default() -> Self {
        Self { entries: 1_000_000, unpacked_bytes: 8 << 30, path_bytes: 4000, path_depth: 128 }
    }
}
