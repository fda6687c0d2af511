//! Folders as artifacts: a tar that is the same for the same content, whatever the command left or does meanwhile.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
#[path = "../sandbox/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use executor::workspace::{Artifact, ArtifactFolder, Budget, LeftOut, WalkError, open_artifact, write_tar};
use support::Machine;

/// Bytes of files in one tar.
const LIMIT: u64 = 8 << 30;

fn open(workspace: BorrowedFd<'_>, requested: &str) -> ArtifactFolder {
    let Ok(Artifact::Folder(folder)) = open_artifact(workspace, requested) else { panic!("{requested} is no folder") };
    folder
}

fn tar_of(folder: &Path) -> (Vec<u8>, LeftOut) {
    let mut tar = Vec::new();
    let left_out =
        write_tar(&open(fs::File::open(folder).unwrap().as_fd(), ""), LIMIT, &mut Budget::default(), &mut tar).unwrap();
    (tar, left_out)
}

#[derive(Debug, PartialEq, Eq)]
struct Member {
    kind: tar::EntryType,
    mode: u32,
    content: Vec<u8>,
    target: Option<Vec<u8>>,
}

/// By path, and the paths in the order of the tar.
fn members(tar: &[u8]) -> (BTreeMap<Vec<u8>, Member>, Vec<Vec<u8>>) {
    let (mut members, mut order) = (BTreeMap::new(), Vec::new());
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
        let (kind, mode) = (header.entry_type(), header.mode().unwrap());
        let path = entry.path_bytes().into_owned();
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        order.push(path.clone());
        assert!(members.insert(path, Member { kind, mode, content, target }).is_none());
    }
    (members, order)
}

#[tokio::test]
async fn of_a_sandbox_are_readable_whatever_their_permissions() {
    let machine = Machine::open().await;
    let command = "mkdir -p out/locked; echo 1 > out/locked/f; chmod 000 out/locked/f out/locked; mkfifo out/fifo; \
                   ln -s /etc/passwd out/link; touch -d 2001-01-01 out; ln out/fifo out/fifo2; ln -s out way";
    let mut sandbox = machine.start(command).await;
    assert_eq!(sandbox.wait().await.unwrap().exit_code, Some(0));
    for (requested, top) in [("out", "out"), ("way", "way"), ("/workspace", "workspace/out")] {
        let mut tar = Vec::new();
        let folder = open(sandbox.workspace(), requested);
        let left_out = write_tar(&folder, LIMIT, &mut Budget::default(), &mut tar).unwrap();
        assert_eq!(left_out, LeftOut { specials: 2, changed: 0 });
        let (members, _) = members(&tar);
        let member = |name: &str| &members[format!("{top}/{name}").as_bytes()];
        assert_eq!((member("locked/f").content.as_slice(), member("locked/f").mode), (&b"1\n"[..], 0));
        assert_eq!(member("link").target.as_deref(), Some(&b"/etc/passwd"[..]));
        assert_eq!(members.contains_key(&b"workspace/src/main.c"[..]), requested == "/workspace");
    }
    assert!(sandbox.finish().await.cleanup.is_ok());
}

#[test]
fn have_every_name_and_no_special_file() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("top");
    let long = "l".repeat(200);
    fs::create_dir_all(top.join("b").join(&long).join(&long)).unwrap();
    fs::write(top.join("b").join(&long).join(&long).join("end"), "end").unwrap();
    for name in [&b"new\nline"[..], b"\xff", b"-rf", b"a b", b"*"] {
        fs::write(top.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::create_dir(top.join("empty")).unwrap();
    fs::write(top.join("run"), "").unwrap();
    fs::set_permissions(top.join("run"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("../../outside", top.join("link")).unwrap();
    symlink(&long, top.join("long link")).unwrap();
    let zero = rustix::fs::makedev(1, 5);
    let special = |name, kind, device| {
        rustix::fs::mknodat(rustix::fs::CWD, top.join(name), kind, 0o644.into(), device).unwrap();
    };
    special("fifo", rustix::fs::FileType::Fifo, 0);
    special("device", rustix::fs::FileType::CharacterDevice, zero);
    let _socket = UnixListener::bind(top.join("socket")).unwrap();

    let (tar, left_out) = tar_of(&top);
    assert_eq!(left_out, LeftOut { specials: 3, changed: 0 });
    let (members, order) = members(&tar);
    assert_eq!(order[0], b"workspace/".strip_suffix(b"/").unwrap());
    assert_eq!(order.len(), 14);
    for name in [&b"new\nline"[..], b"\xff", b"-rf", b"a b", b"*"] {
        assert_eq!(members[[b"workspace/", name].concat().as_slice()].content, name);
    }
    assert_eq!(members[format!("workspace/b/{long}/{long}/end").as_bytes()].content, b"end");
    assert_eq!(members[&b"workspace/run"[..]].mode, 0o755);
    assert_eq!(members[&b"workspace/link"[..]].target.as_deref(), Some(&b"../../outside"[..]));
    assert_eq!(members[&b"workspace/long link"[..]].target.as_deref(), Some(long.as_bytes()));
    assert_eq!(members[&b"workspace/empty"[..]].kind, tar::EntryType::Directory);

    // The same content, written in another order and at another time.
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let text = |folder: &Path, names: &[&str]| {
        for name in names {
            fs::write(folder.join(name), name).unwrap();
        }
        tar_of(folder).0
    };
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let first = text(&copy, &["one", "two", "three"]);
    let past = fs::File::open(copy.join("one")).unwrap();
    past.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(first, text(&other, &["three", "two", "one"]));
    assert_eq!(first, tar_of(&copy).0);
}

/// Does something as soon as a member's header is written.
struct Meanwhile<'a> {
    tar: Vec<u8>,
    name: &'a [u8],
    act: Option<Box<dyn FnOnce() + 'a>>,
}

impl Write for Meanwhile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tar.extend_from_slice(bytes);
        if self.tar.windows(self.name.len()).any(|window| window == self.name)
            && let Some(act) = self.act.take()
        {
            act();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn that_change_meanwhile_stay_a_tar_and_never_lead_outside() {
    let folder = tempfile::tempdir().unwrap();
    let (top, outside) = (folder.path().join("top"), folder.path().join("outside"));
    for name in ["c-swapped", "d-gone"] {
        fs::create_dir_all(top.join(name)).unwrap();
        fs::write(top.join(name).join("inner"), "inner").unwrap();
    }
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(top.join("a-shrinks"), "0123456789").unwrap();
    fs::write(top.join("z-last"), "last").unwrap();
    let act = || {
        fs::write(top.join("a-shrinks"), "0123").unwrap();
        fs::rename(top.join("c-swapped"), folder.path().join("elsewhere")).unwrap();
        symlink(&outside, top.join("c-swapped")).unwrap();
        fs::remove_dir_all(top.join("d-gone")).unwrap();
    };
    let mut out = Meanwhile { tar: Vec::new(), name: b"a-shrinks", act: Some(Box::new(act)) };
    let opened = open(fs::File::open(&top).unwrap().as_fd(), ".");
    let left_out = write_tar(&opened, LIMIT, &mut Budget::default(), &mut out).unwrap();
    assert_eq!(left_out, LeftOut { specials: 0, changed: 1 });
    let (members, order) = members(&out.tar);
    assert_eq!(members[&b"workspace/a-shrinks"[..]].content, b"0123\0\0\0\0\0\0");
    assert_eq!(members[&b"workspace/c-swapped"[..]].kind, tar::EntryType::Symlink);
    assert_eq!(members[&b"workspace/z-last"[..]].content, b"last");
    assert_eq!(order.len(), 4, "{order:?}");

    let grow = || fs::write(top.join("a-shrinks"), "0123456789").unwrap();
    let mut out = Meanwhile { tar: Vec::new(), name: b"a-shrinks", act: Some(Box::new(grow)) };
    let left_out = write_tar(&opened, LIMIT, &mut Budget::default(), &mut out).unwrap();
    assert_eq!(left_out.changed, 1);
    assert_eq!(self::members(&out.tar).0[&b"workspace/a-shrinks"[..]].content, b"0123");
}

#[test]
fn that_are_too_large_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::File::open(folder.path()).unwrap();
    let refused =
        |budget: u32| write_tar(&open(root.as_fd(), ""), LIMIT, &mut Budget::of(budget), io::sink()).unwrap_err();
    for name in ["a", "b", "c"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    assert!(matches!(refused(2), WalkError::TooManyEntries));
    // Takes no room on the disk, but would in a tar.
    fs::File::options().write(true).open(folder.path().join("b")).unwrap().set_len(9 << 30).unwrap();
    assert!(matches!(refused(100), WalkError::TooLarge { .. }));
    let mut deep = folder.path().join("0");
    fs::create_dir(&deep).unwrap();
    for _ in 0..200 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    assert!(matches!(refused(999), WalkError::TooDeep { .. }));
}
