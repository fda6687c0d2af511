//! Tar archives byte for byte, as no writer would make them, and what a reader made of one.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use executor::extraction::{ExtractError, ExtractLimits, Extracted, extract};
use flate2::Compression;
use flate2::write::GzEncoder;

pub(crate) const MODIFIED: i64 = 1_000_000_000;

/// A header, and what follows it.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) block: [u8; 512],
    pub(crate) body: Vec<u8>,
    checksum: bool,
}

impl Raw {
    /// A header of POSIX.1-1988, mode 0644.
    pub(crate) fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        let mut raw = Self { block: [0; 512], body: Vec::new(), checksum: true }.at(0, name);
        raw.block[156] = kind;
        let modified = format!("{MODIFIED:011o}\0");
        raw.at(100, "0000644\0")
            .at(108, "0000000\0")
            .at(116, "0000000\0")
            .sized(0)
            .at(136, modified)
            .at(257, "ustar\x0000")
    }

    pub(crate) fn file(name: impl AsRef<[u8]>, content: &str) -> Self {
        Self::new(b'0', name).content(content)
    }

    /// Its content is its name.
    pub(crate) fn named(name: &str) -> Self {
        Self::file(name, name)
    }

    pub(crate) fn folder(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', name).mode(0o755)
    }

    pub(crate) fn symlink(name: impl AsRef<[u8]>, target: &str) -> Self {
        Self::new(b'2', name).at(157, target)
    }

    pub(crate) fn hard_link(name: impl AsRef<[u8]>, target: &str) -> Self {
        Self::new(b'1', name).at(157, target)
    }

    /// An extended header (`x`) or a global one (`g`) with well-formed records.
    pub(crate) fn extended(kind: u8, records: &[(&str, &str)]) -> Self {
        let body: String = records.iter().map(|(key, value)| record(key, value)).collect();
        Self::new(kind, "PaxHeaders/x").content(body)
    }

    /// A long name (`L`) or long target (`K`) of GNU.
    pub(crate) fn long(kind: u8, text: &str) -> Self {
        Self::new(kind, "././@LongLink").content([text.as_bytes(), b"\0"].concat()).gnu()
    }

    pub(crate) fn at(mut self, offset: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.block[offset..offset + bytes.as_ref().len()].copy_from_slice(bytes.as_ref());
        self
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        self.at(100, format!("{mode:07o}\0"))
    }

    pub(crate) fn sized(self, size: u64) -> Self {
        self.at(124, format!("{size:011o}\0"))
    }

    pub(crate) fn content(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.body = bytes.as_ref().to_vec();
        let size = self.body.len() as u64;
        self.sized(size)
    }

    pub(crate) fn gnu(self) -> Self {
        self.at(257, "ustar  \0")
    }

    pub(crate) fn v7(self) -> Self {
        self.at(257, [0; 8])
    }

    pub(crate) fn wrong_checksum(mut self) -> Self {
        self.checksum = false;
        self.at(148, "0000001\0")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut block = self.block;
        if self.checksum {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let mut bytes = [&block[..], &self.body].concat();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// One record of an extended header.
pub(crate) fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length = length.to_string().len() + rest.len();
    }
    format!("{length}{rest}")
}

/// The members, and the two blocks of zeros at the end.
pub(crate) fn tar(members: &[Raw]) -> Vec<u8> {
    let mut bytes: Vec<u8> = members.iter().flat_map(Raw::bytes).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Extracts into `folder/tree`.
pub(crate) fn extract_bytes(folder: &Path, archive: &[u8], limits: &ExtractLimits) -> Result<Extracted, ExtractError> {
    fs::write(folder.join("archive"), archive).unwrap();
    fs::create_dir(folder.join("tree")).unwrap();
    let root = File::open(folder.join("tree")).unwrap();
    extract(File::open(folder.join("archive")).unwrap(), root.as_fd(), limits, &AtomicBool::new(false))
}

/// The content of a folder: everything that extraction is supposed to take over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Folder {
        mode: u32,
    },
    /// `links` counts the names of one file.
    File {
        mode: u32,
        modified: (i64, i64),
        links: u64,
        content: Vec<u8>,
    },
    Symlink(PathBuf),
    Other,
}

/// Everything beneath `root`, without `root` itself.
pub(crate) fn look(root: &Path) -> BTreeMap<PathBuf, Found> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let meta = entry.metadata().unwrap();
            let kind = meta.file_type();
            let mode = meta.mode() & 0o777;
            let what = if kind.is_dir() {
                folders.push(path.clone());
                Found::Folder { mode }
            } else if kind.is_symlink() {
                Found::Symlink(fs::read_link(entry.path()).unwrap())
            } else if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket() {
                Found::Other
            } else {
                let modified = (meta.mtime(), meta.mtime_nsec());
                Found::File { mode, modified, links: meta.nlink(), content: fs::read(entry.path()).unwrap() }
            };
            found.insert(path, what);
        }
    }
    found
}

/// Extracts an archive with GNU tar, as root, into `folder/gnu`; returns its complaint if there is one.
pub(crate) fn gnu_tar(folder: &Path) -> Result<BTreeMap<PathBuf, Found>, String> {
    let gnu = folder.join("gnu");
    fs::create_dir(&gnu).unwrap();
    let output = std::process::Command::new("tar")
        .args(["--extract", "--gzip", "--no-same-owner", "--preserve-permissions", "--file"])
        .arg(folder.join("archive"))
        .arg("--directory")
        .arg(&gnu)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    if output.status.success() { Ok(look(&gnu)) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Entries and bytes of files, as `tar --list` counts them.
pub(crate) fn gnu_list(folder: &Path) -> (u64, u64) {
    let output = std::process::Command::new("tar")
        .args(["--list", "--gzip", "--verbose", "--numeric-owner", "--quoting-style=escape", "--file"])
        .arg(folder.join("archive"))
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let entries = text.lines().filter(|line| !line.starts_with('V'));
    let sizes: Vec<u64> = entries.map(|line| line.split_whitespace().nth(2).unwrap().parse().unwrap()).collect();
    (sizes.len() as u64, sizes.iter().sum())
}
