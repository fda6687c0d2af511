//! A folder as an archive: what git would take along, in an order and with attributes that depend on nothing else, so
//! that the same content is the same archive wherever it is packed.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ignore::{DirEntry, WalkBuilder};
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use crate::failure::Failure;

/// Any time would do. Build tools that compare times find all files equally old.
const MTIME_S: u64 = 1;

#[derive(Debug)]
pub(crate) struct Packed {
    pub file: NamedTempFile,
    /// Without folders.
    pub files: u64,
}

/// Blocking.
pub(crate) fn pack(folder: &Path) -> Result<Packed, Failure> {
    let root = folder.canonicalize().map_err(|error| Failure::file("read", folder, &error))?;
    if !root.is_dir() {
        return Err(Failure::new("file_error", format!("{} is not a folder", folder.display()))
            .hint("For an archive: crownest workspace-runs run-archive FILE."));
    }
    let temporary = |error: io::Error| Failure::new("file_error", format!("cannot write a temporary file: {error}"));
    let file = NamedTempFile::with_prefix("crownest-").map_err(temporary)?;
    let mut archive = Builder::new(GzEncoder::new(file, Compression::default()));
    let mut files = 0;
    for entry in walk(&root) {
        let entry = entry.map_err(|error| Failure::new("file_error", format!("cannot read the folder: {error}")))?;
        let path = entry.path().strip_prefix(&root).unwrap_or(Path::new("")).to_owned();
        if !path.as_os_str().is_empty() {
            let added = add(&mut archive, &entry, &path).map_err(|error| Failure::file("pack", &path, &error))?;
            files += u64::from(added);
        }
    }
    let file = archive.into_inner().and_then(GzEncoder::finish).map_err(temporary)?;
    Ok(Packed { file, files })
}

fn walk(root: &Path) -> ignore::Walk {
    let in_repository = root.ancestors().any(|folder| folder.join(".git").exists());
    WalkBuilder::new(root)
        .hidden(false)
        // Only what the repository itself says: not .ignore files, nor a person's own settings.
        .ignore(false)
        .git_global(false)
        .require_git(in_repository)
        .parents(in_repository)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build()
}

/// Says whether the entry counts as a file. Sockets, FIFOs and devices cannot be run again and are left out.
fn add(archive: &mut Builder<GzEncoder<NamedTempFile>>, entry: &DirEntry, path: &Path) -> io::Result<bool> {
    let Some(kind) = entry.file_type() else { return Ok(false) };
    let metadata = entry.path().symlink_metadata()?;
    if kind.is_dir() {
        let mut header = header(EntryType::Directory, 0o755, 0);
        let path: PathBuf = path.join("");
        archive.append_data(&mut header, path, io::empty())?;
        Ok(false)
    } else if kind.is_symlink() {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        archive.append_link(&mut header, path, entry.path().read_link()?)?;
        Ok(true)
    } else if kind.is_file() {
        let mut header = header(EntryType::Regular, mode(&metadata), metadata.len());
        let file = File::open(entry.path())?;
        let mut content = Exactly { file, left: metadata.len() };
        archive.append_data(&mut header, path, &mut content)?;
        Ok(true)
    } else {
        Ok(false)
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(MTIME_S);
    header
}

fn mode(metadata: &Metadata) -> u32 {
    if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 }
}

/// Exactly the number of bytes in the header: a file that grows meanwhile is cut, and a file that shrinks is an error.
struct Exactly {
    file: File,
    left: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was packed"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Read as _;

    fn names(packed: &Packed) -> Vec<String> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(packed.file.path()).unwrap()));
        let entries = archive.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    #[test]
    fn what_git_ignores_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            (".gitignore", "target/\n*.log\n!keep.log\n"),
            (".github/ci.yml", ""),
            (".git/config", ""),
            ("a.log", ""),
            ("keep.log", ""),
            ("src/.gitignore", "/made"),
            ("src/made", ""),
            ("src/main.py", ""),
            ("target/big", ""),
        ];
        write(folder.path(), &files);
        let all = [
            "\
.github/",
            ".github/ci.yml",
            ".gitignore",
            "keep.log",
            "src/",
            "src/.gitignore",
            "src/main.py",
        ];
        let packed = pack(folder.path()).unwrap();
        assert_eq!(names(&packed), all);
        assert_eq!(packed.files, 5);
        // The rules of the repository hold in a part of it.
        write(folder.path(), &[("src/b.log", "")]);
        assert_eq!(names(&pack(&folder.path().join("src")).unwrap()), [".gitignore", "main.py"]);
    }

    #[test]
    fn the_same_content_is_the_same_archive() {
        let archives: Vec<Vec<u8>> = [1_000, 2_000]
            .into_iter()
            .map(|seconds| {
                let folder = tempfile::tempdir().unwrap();
                write(folder.path(), &[("b", "2"), ("a/c", "1"), ("run.sh", "#!/bin/sh")]);
                fs::set_permissions(folder.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
                std::os::unix::fs::symlink("a/c", folder.path().join("link")).unwrap();
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
                File::open(folder.path().join("b")).unwrap().set_modified(time).unwrap();
                fs::read(pack(folder.path()).unwrap().file.path()).unwrap()
            })
            .collect();
        assert!(archives[0] == archives[1]);
        let mut modes = BTreeMap::new();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&archives[0][..]));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            modes.insert(entry.path().unwrap().display().to_string(), (entry.header().mode().unwrap(), content));
        }
        assert_eq!(modes["run.sh"], (0o755, "#!/bin/sh".to_owned()));
        assert_eq!(modes["b"], (0o644, "2".to_owned()));
    }

    #[test]
    fn names_of_any_length_and_no_text_are_kept() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
        write(folder.path(), &[(&long, "x")]);
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "y").unwrap();
        let packed = pack(folder.path()).unwrap();
        assert_eq!(packed.files, 2);
        assert!(names(&packed).contains(&long));
    }

    #[test]
    fn a_file_is_not_packed() {
        assert!(pack(Path::new("/etc/passwd")).unwrap_err().message.contains("not a folder"));
        assert!(pack(Path::new("/nonexistent")).is_err());
    }
}
