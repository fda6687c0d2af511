//! The limits of a stranger's archive.

/// Every limit is inclusive.
#[derive(Debug, Clone, Copy)]
pub struct ExtractLimits {
    /// Files, directories and links; also directories that are only named in a path.
    pub entries: u64,
    /// Sum of all file contents after decompression, holes of sparse files included.
    pub unpacked_bytes: u64,
    /// What the tree takes on disk: 4 KiB for each entry, and the contents without holes.
    pub disk_bytes: u64,
    /// Length of one path.
    pub path_bytes: usize,
    /// Components of one path.
    pub path_depth: usize,
}

impl ExtractLimits {
    /// The limits of root file systems, which operators import: as much as an import takes.
    pub const ROOT_FS: Self =
        Self { entries: 2_000_000, unpacked_bytes: 32 << 30, disk_bytes: u64::MAX, path_bytes: 4000, path_depth: 1000 };

    /// These limits, for an archive of a run that may write this much: what it brings is no more than what it could make.
    #[must_use]
    pub fn within(self, run_disk_bytes: Option<u64>) -> Self {
        Self { disk_bytes: self.disk_bytes.min(run_disk_bytes.unwrap_or(u64::MAX)), ..self }
    }
}

impl Default for ExtractLimits {
    fn default() -> Self {
        Self { entries: 1_000_000, unpacked_bytes: 8 << 30, disk_bytes: u64::MAX, path_bytes: 4000, path_depth: 128 }
    }
}
