//! Archives, well-meant and hostile: what is extracted, what is refused, and under which name.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use executor::archive::{ExtractError, ExtractLimits, Extracted, Limit, extract};
use flate2::Compression;
use flate2::write::GzEncoder;
use schemas::run::FailureReason;
use tar::{Builder, EntryType, Header};

/// One entry, written byte for byte as given: the tar crate's own writer refuses most of these.
#[derive(Clone, Copy)]
struct Entry<'a> {
    kind: EntryType,
    path: &'a str,
    link: &'a str,
    mode: u32,
    content: &'a [u8],
}

fn file<'a>(path: &'a str, content: &'a str) -> Entry<'a> {
    Entry { kind: EntryType::Regular, path, link: "", mode: 0o644, content: content.as_bytes() }
}

fn other<'a>(kind: EntryType, path: &'a str, link: &'a str) -> Entry<'a> {
    Entry { kind, path, link, mode: 0o755, content: b"" }
}

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_mtime(1_000_000_000);
        header.set_size(entry.content.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        gnu.linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_cksum();
        builder.append(&header, entry.content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Extracts into `folder/tree`.
fn extract_bytes(folder: &Path, archive: &[u8], limits: &ExtractLimits) -> Result<Extracted, ExtractError> {
    fs::write(folder.join("archive"), archive).unwrap();
    fs::create_dir(folder.join("tree")).unwrap();
    let root = File::open(folder.join("tree")).unwrap();
    extract(File::open(folder.join("archive")).unwrap(), root.as_fd(), limits, &AtomicBool::new(false))
}

#[test]
fn hostile_archives_are_refused_by_name() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Symlink};
    let deep = "d/".repeat(49) + "d";
    let cases: &[(&str, &[Entry<'_>], &str)] = &[
        ("absolute", &[file("/etc/x", "")], "its path is absolute"),
        ("parent", &[file("a/../../x", "")], "its path contains `..`"),
        ("parent only", &[other(Directory, "..", "")], "its path contains `..`"),
        ("device", &[other(Char, "dev", "")], "devices and FIFOs are refused"),
        ("block device", &[other(Block, "dev", "")], "devices and FIFOs are refused"),
        ("fifo", &[other(Fifo, "pipe", "")], "devices and FIFOs are refused"),
        ("symlink away", &[other(Symlink, "l", "../x")], "points outside"),
        ("absolute symlink", &[other(Symlink, "l", "/etc")], "points outside"),
        ("empty symlink", &[other(Symlink, "l", "")], "no valid target"),
        ("through a symlink", &[other(Symlink, "l", "."), file("l/x", "")], "through a symlink"),
        ("through a deep symlink", &[other(Symlink, "l", "."), file("l/a/b", "")], "through a symlink"),
        ("through a file", &[file("f", ""), file("f/x", "")], "not a folder"),
        ("link away", &[other(Link, "l", "../x")], "its path contains `..`"),
        ("absolute link", &[other(Link, "l", "/etc/passwd")], "its path is absolute"),
        ("link to nothing", &[other(Link, "l", "later"), file("later", "")], "earlier regular file"),
        ("link to a folder", &[other(Directory, "d", ""), other(Link, "l", "d")], "earlier regular file"),
        ("link to a symlink", &[other(Symlink, "s", "x"), other(Link, "l", "s")], "earlier regular file"),
        (
            "link through a symlink",
            &[file("f", ""), other(Symlink, "s", "."), other(Link, "l", "s/f")],
            "through a symlink",
        ),
        ("file, then folder", &[file("a", ""), other(Directory, "a", "")], "another type"),
        ("folder, then file", &[other(Directory, "a", ""), file("a", "")], "another type"),
        ("symlink, then file", &[other(Symlink, "a", "b"), file("a", "")], "another type"),
        ("symlink, then folder", &[other(Symlink, "a", "."), other(Directory, "a", "")], "another type"),
        ("root as a file", &[file("./", "")], "its path"),
        ("unknown type", &[other(EntryType::new(b'Z'), "z", "")], "type is not supported"),
    ];
    for (name, entries, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let result = extract_bytes(folder.path(), &gzip(&tar(entries)), &ExtractLimits::default());
        if *name == "root as a file" {
            // An old-style name with a slash at its end is a folder, and the root may be listed.
            assert!(result.is_ok());
            continue;
        }
        let error = result.expect_err(name);
        assert_eq!(error.failure_reason(), FailureReason::ArchiveInvalid, "{name}: {error}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
        let escaped = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(escaped, 2, "{name} wrote outside of the tree");
    }
    let limits = ExtractLimits { entries: 3, unpacked_bytes: 1000, path_bytes: 99, path_depth: 10 };
    let kilobyte = "x".repeat(600);
    let long = "n".repeat(100);
    let too_large: &[(&[Entry<'_>], Limit)] = &[
        (&[file("1", ""), file("2", ""), file("3", ""), file("4", "")], Limit::Entries),
        (&[file("1", &kilobyte), file("2", &kilobyte)], Limit::UnpackedBytes),
        (&[file(&long, "")], Limit::PathBytes),
        (&[file(&deep, "")], Limit::PathDepth),
    ];
    for (entries, expected) in too_large {
        let folder = tempfile::tempdir().unwrap();
        let error = extract_bytes(folder.path(), &gzip(&tar(entries)), &limits).unwrap_err();
        assert_eq!(error.failure_reason(), FailureReason::ArchiveTooLarge);
        assert!(matches!(&error, ExtractError::TooLarge { limit, .. } if limit == expected), "{error}");
    }
}

#[test]
fn damaged_archives_are_invalid() {
    let whole = gzip(&tar(&[file("a", &"content ".repeat(4000))]));
    let cut_in_header = gzip(&tar(&[file("a", "b")])[..300]);
    let mut flipped = whole.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    let mut bad_tar = tar(&[file("a", "b")]);
    bad_tar[148] = b'9';
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("not gzip", b"PK\x03\x04 this is a zip file".to_vec()),
        ("plain tar", tar(&[file("a", "b")])),
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("without its last bytes", whole[..whole.len() - 4].to_vec()),
        ("wrong checksum", flipped),
        ("rubbish inside", gzip(&[7; 5000])),
        ("cut in a header", cut_in_header),
        ("bad header checksum", gzip(&bad_tar)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = extract_bytes(folder.path(), &bytes, &ExtractLimits::default()).expect_err(name);
        assert_eq!(error.failure_reason(), FailureReason::ArchiveInvalid, "{name}: {error}");
    }
}

#[test]
fn bombs_cost_neither_memory_nor_disk() {
    // 64 MiB of zeros as a "long name", which the tar crate would buffer.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(64 << 20);
    header.set_cksum();
    let mut long_name = header.as_bytes().to_vec();
    long_name.resize(long_name.len() + (64 << 20), b'n');
    let endless = [tar(&[file("a", "")]), vec![0; 64 << 20]].concat();
    let limits = ExtractLimits { unpacked_bytes: 10 << 20, ..ExtractLimits::default() };
    for (bytes, expected) in [(long_name, Limit::HeaderBytes), (endless, Limit::UnpackedBytes)] {
        let folder = tempfile::tempdir().unwrap();
        let error = extract_bytes(folder.path(), &gzip(&bytes), &limits).unwrap_err();
        assert!(matches!(&error, ExtractError::TooLarge { limit, .. } if *limit == expected), "{error}");
    }
}

#[test]
fn ordinary_archives_come_out_as_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let entries = [
        other(EntryType::Directory, "./", ""),
        Entry { mode: 0o6755, ..file("./bin/tool", "#!/bin/sh\n") },
        other(EntryType::Symlink, "bin/link", "../lib/x"),
        other(EntryType::Directory, "bin", ""),
        file("twice", "first"),
        other(EntryType::Link, "hard", "bin/tool"),
        file("twice", "second"),
        file("utf-8 é\n", "x"),
    ];
    let done = extract_bytes(folder.path(), &gzip(&tar(&entries)), &ExtractLimits::default()).unwrap();
    assert_eq!((done.entries, done.unpacked_bytes), (8, 10 + 5 + 6 + 1));
    let tree = folder.path().join("tree");
    let tool = fs::metadata(tree.join("bin/tool")).unwrap();
    assert_eq!((tool.mode() & 0o7777, tool.mtime(), tool.nlink()), (0o755, 1_000_000_000, 2));
    assert_eq!(fs::read_link(tree.join("bin/link")).unwrap(), Path::new("../lib/x"));
    assert_eq!(fs::read_to_string(tree.join("twice")).unwrap(), "second");
    assert!(tree.join("utf-8 é\n").exists());
}

/// Against GNU tar itself, in its own and in the POSIX format: long names, sparse files, hard links.
#[test]
fn agrees_with_gnu_tar() {
    for format in ["gnu", "posix"] {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        let long = source.join("long".repeat(30)).join("name".repeat(40));
        fs::create_dir_all(&long).unwrap();
        fs::write(long.join("file"), "deep").unwrap();
        fs::hard_link(long.join("file"), source.join("hard")).unwrap();
        std::os::unix::fs::symlink("hard", source.join("soft")).unwrap();
        let sparse = File::create(source.join("sparse")).unwrap();
        let option = if format == "gnu" { "-czSf" } else { "-czf" };
        sparse.set_len(3 << 20).unwrap();
        std::os::unix::fs::FileExt::write_at(&sparse, b"data", 1 << 20).unwrap();
        let archive = folder.path().join("made.tgz");
        let made = Command::new("tar")
            .args([option, archive.to_str().unwrap(), "--format", format, "-C", source.to_str().unwrap(), "."])
            .status();
        assert!(made.unwrap().success());
        extract_bytes(folder.path(), &fs::read(&archive).unwrap(), &ExtractLimits::default()).unwrap();
        let same = Command::new("diff").arg("-r").args([&source, &folder.path().join("tree")]).output().unwrap();
        assert!(same.status.success(), "{format}: {}", String::from_utf8_lossy(&same.stdout));
    }
}

/// The tar crate would silently give such a file another name and content.
#[test]
fn refuses_posix_sparse_files() {
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join("sparse")).unwrap().set_len(1 << 20).unwrap();
    let made =
        Command::new("tar").current_dir(&folder).args(["-czSf", "made.tgz", "--format=posix", "sparse"]).status();
    assert!(made.unwrap().success());
    let archive = fs::read(folder.path().join("made.tgz")).unwrap();
    let error = extract_bytes(folder.path(), &archive, &ExtractLimits::default()).unwrap_err();
    assert!(error.to_string().contains("create it without --sparse"), "{error}");
}

#[test]
fn stops_when_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("archive"), gzip(&tar(&[file("a", "")]))).unwrap();
    let root = File::open(folder.path()).unwrap();
    let archive = File::open(folder.path().join("archive")).unwrap();
    let result = extract(archive, root.as_fd(), &ExtractLimits::default(), &AtomicBool::new(true));
    assert!(matches!(result, Err(ExtractError::Abandoned)));
}
