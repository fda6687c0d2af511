//! Real extraction of archives that are never quite right.
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path};

use executor::extraction::{ExtractLimits, Extracted};

use crate::tarball::{Found, extract_bytes, gnu_list, gnu_tar, gzip as compress, look};

/// Small limits, so that inputs reach them.
const LIMITS: ExtractLimits =
    ExtractLimits { entries: 20, unpacked_bytes: 1 << 20, disk_bytes: u64::MAX, path_bytes: 300, path_depth: 12 };
const OUTSIDE: &[u8] = b"not yours";

/// Extracts an uncompressed archive, whose checksums are repaired first.
pub(crate) fn tar(bytes: &[u8]) -> bool {
    extract(&compress(&repaired(bytes)), false)
}

/// Extracts a compressed archive as it comes.
pub(crate) fn gzip(bytes: &[u8]) -> bool {
    extract(bytes, false)
}

/// Extracts like [`tar`]; GNU tar must understand every archive that we accept in the same way.
pub(crate) fn against_gnu_tar(bytes: &[u8]) -> bool {
    extract(&compress(&repaired(bytes)), true)
}

/// Repairs checksums: a fuzzer does not find any, and readers stop at a wrong one.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

fn extract(archive: &[u8], compare: bool) -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let _ = fs::write(folder.path().join("outside"), OUTSIDE);
    let result = extract_bytes(folder.path(), archive, &LIMITS);
    assert_untouched(folder.path());
    let Ok(done) = result else { return false };
    assert_within_limits(&folder.path().join("tree"), &done);
    if compare {
        assert_same(folder.path(), &done);
    }
    // Everything can be removed again, read-only folders too.
    assert!(folder.close().is_ok(), "something cannot be removed");
    true
}

fn assert_untouched(folder: &Path) {
    let entries = fs::read_dir(folder).map_or(0, Iterator::count);
    assert_eq!(entries, 3, "something was made outside of the tree");
    let outside = fs::symlink_metadata(folder.join("outside"));
    let unchanged = outside.is_ok_and(|file| file.is_file() && file.nlink() == 1 && file.mode() & 0o7111 == 0);
    assert!(unchanged && fs::read(folder.join("outside")).is_ok_and(|bytes| bytes == OUTSIDE));
}

fn assert_within_limits(tree: &Path, done: &Extracted) {
    let found = look(tree);
    assert!(done.entries <= LIMITS.entries && done.unpacked_bytes <= LIMITS.unpacked_bytes);
    let mut bytes = 0;
    for (path, what) in &found {
        assert!(path.iter().count() <= LIMITS.path_depth, "{path:?}");
        match what {
            // A file has one content, however many names.
            Found::File { content, links, .. } => bytes += content.len() as u64 / links.max(&1),
            Found::Symlink(target) => assert!(stays_inside(path, target), "{path:?} -> {target:?}"),
            Found::Folder { .. } => {}
            Found::Other => panic!("{path:?} is neither file, folder nor symlink"),
        }
    }
    assert!(bytes <= done.unpacked_bytes, "{bytes} bytes on disk, {} counted", done.unpacked_bytes);
    let special = fs::read_dir(tree).into_iter().flatten().flatten();
    let special = special.filter_map(|entry| entry.metadata().ok()).any(|entry| entry.mode() & 0o7000 != 0);
    assert!(!special, "a special permission was taken over");
}

fn stays_inside(link: &Path, target: &Path) -> bool {
    let mut depth = link.iter().count() - 1;
    target.components().all(|component| match component {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir => {
            let inside = depth > 0;
            depth = depth.saturating_sub(1);
            inside
        }
        Component::RootDir | Component::Prefix(_) => false,
    })
}

/// Messages of GNU tar about metadata that we do not extract, and its warnings.
const IRRELEVANT: [&str; 10] = [
    "uid",
    "gid",
    "major_t",
    "minor_t",
    "atime",
    "ctime",
    "Ignoring unknown",
    "time stamp",
    "lone zero block",
    "Exiting with",
];

fn assert_same(folder: &Path, done: &Extracted) {
    let theirs = gnu_tar(folder).unwrap_or_else(|complaint| {
        let relevant = complaint.lines().find(|line| !IRRELEVANT.iter().any(|word| line.contains(word)));
        assert!(relevant.is_none_or(str::is_empty), "GNU tar refuses it, we do not: {relevant:?}");
        look(&folder.join("gnu"))
    });
    let ours = look(&folder.join("tree"));
    if let Some((path, found)) = ours.iter().find(|(path, found)| theirs.get(*path) != Some(found)) {
        panic!("{path:?} is {found:?}, for GNU tar {:?}", theirs.get(path));
    }
    assert_eq!(ours.len(), theirs.len(), "GNU tar finds more: {theirs:?}");
    assert_eq!((done.entries, done.unpacked_bytes), gnu_list(folder), "entries and bytes that GNU tar lists");
}
