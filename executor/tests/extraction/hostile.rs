//! Archives that try to write somewhere else, or too much, each with the CVE or mechanism that it is about.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::sync::atomic::AtomicBool;

use executor::extraction::{ExtractLimits, extract};
use tar::{Builder, EntryType, Header};

struct Archive {
    name: &'static str,
    mechanism: &'static str,
    /// Type, path, target of a link.
    entries: &'static [(EntryType, &'static str, &'static str)],
    /// Part of what it is refused with; `None` if it is not.
    refused: Option<&'static str>,
}

const fn archive(
    name: &'static str,
    mechanism: &'static str,
    entries: &'static [(EntryType, &'static str, &'static str)],
    refused: &'static str,
) -> Archive {
    Archive { name, mechanism, entries, refused: if refused.is_empty() { None } else { Some(refused) } }
}

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const LINK: EntryType = EntryType::Link;

#[rustfmt::skip]
const ARCHIVES: &[Archive] = &[
    archive("ordinary entries", "ustar", &[(FOLDER, "d", ""), (FILE, "d/f", ""), (SYMLINK, "l", "d/f"), (LINK, "h", "d/f")], ""),
    archive("an absolute path", "CVE-2021-32804", &[(FILE, "/outside", "")], "absolute"),
    archive("a parent in a path", "zip slip: CVE-2007-4559, CVE-2018-1002200", &[(FILE, "a/../../outside", "")], "`..`"),
    archive("a parent as a path", "CVE-2016-6321", &[(FOLDER, "..", "")], "`..`"),
    archive("an absolute symlink", "symlink(2)", &[(SYMLINK, "l", "/etc")], "outside"),
    archive("a symlink that leads out", "symlink(2)", &[(SYMLINK, "l", "../outside")], "outside"),
    archive("a file through a symlink", "CVE-2021-32803, CVE-2025-45582", &[(SYMLINK, "l", "."), (FILE, "l/f", "")], "through a symlink"),
    archive("a file in the place of a symlink", "CVE-2021-37701", &[(SYMLINK, "l", "f"), (FILE, "l", "")], "another type"),
    archive("a folder in the place of a symlink", "CVE-2021-37712", &[(SYMLINK, "l", "."), (FOLDER, "l", "")], "another type"),
    archive("a hard link to the host", "CVE-2025-4517", &[(LINK, "l", "/etc/passwd")], "absolute"),
    archive("a hard link that leads out", "link(2)", &[(LINK, "l", "../outside")], "`..`"),
    archive("a hard link through a symlink", "link(2)", &[(FILE, "f", ""), (SYMLINK, "s", "."), (LINK, "l", "s/f")], "through a symlink"),
    archive("a hard link by which a symlink would lead out", "link(2)", &[(SYMLINK, "d/s", "../x"), (LINK, "l", "d/s")], "points outside"),
    archive("a character device", "mknod(2)", &[(EntryType::Char, "d", "")], "devices"),
    archive("a block device", "mknod(2)", &[(EntryType::Block, "d", "")], "devices"),
    archive("a FIFO in an archive", "open(2) waits", &[(EntryType::Fifo, "f", "")], "devices and FIFOs"),
    archive("a path that is too deep", "ENAMETOOLONG", &[(FILE, "a/a/a/a/a/a/a/a/a/f", "")], "8"),
    archive("too many entries", "inodes", &[(FILE, "1", ""), (FILE, "2", ""), (FILE, "3", ""), (FILE, "4", ""), (FILE, "5", "")], "4"),
];

fn packed(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, path, link) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o6755);
        header.set_size(0);
        // Byte for byte: the crate's own writer refuses most of these.
        let gnu = header.as_gnu_mut().expect("a GNU header");
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, &b""[..]).expect("memory");
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&builder.into_inner().expect("memory")).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn what_is_extracted() {
    let names: BTreeSet<&str> = ARCHIVES.iter().map(|archive| archive.name).collect();
    assert_eq!(names.len(), ARCHIVES.len(), "two cases have one name");
    let limits =
        ExtractLimits { entries: 4, unpacked_bytes: 1000, path_bytes: 99, path_depth: 8, ..ExtractLimits::default() };
    for case in ARCHIVES {
        let folder = tempfile::tempdir().expect("a folder");
        let (archive, tree) = (folder.path().join("archive"), folder.path().join("tree"));
        fs::write(&archive, packed(case.entries)).expect("a file");
        fs::create_dir(&tree).expect("a folder");
        let root = File::open(&tree).expect("a folder");
        let file = File::open(&archive).expect("a file");
        let result = extract(file, root.as_fd(), &limits, &AtomicBool::new(false));
        let because = format!("{} ({})", case.name, case.mechanism);
        match (case.refused, result) {
            (None, result) => {
                result.expect(&because);
                let mode = std::os::unix::fs::PermissionsExt::mode(
                    &fs::metadata(tree.join("d/f")).expect("a file").permissions(),
                );
                assert_eq!(mode & 0o7000, 0, "{because}: special bits are not taken over");
            }
            (Some(text), result) => {
                let error = result.expect_err(&because).to_string();
                assert!(error.contains(text), "{because}: {error}");
            }
        }
        let names = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 2, "{because}: something was written outside of the tree");
    }
}
