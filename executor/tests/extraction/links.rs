//! Ways out of the tree, and the same name again.
use crate::compare::Expect::{Refused, Same};
use crate::compare::check_members;
use crate::tarball::Raw;

#[test]
fn ways_out() {
    let link = Raw::symlink;
    let hard = Raw::hard_link;
    let dir = Raw::folder;
    check_members(&[
        ("CVE-2007-4559 tarfile: parent folder", &[Raw::named("../x")], Refused("../x", "contains `..`")),
        (
            "CVE-2001-1267 GNU tar: hidden parent folder",
            &[Raw::named("a/../../x")],
            Refused("a/../../x", "contains `..`"),
        ),
        (
            "CVE-2016-6321 GNU tar: cut at the last `..`",
            &[Raw::named("etc/../x")],
            Refused("etc/../x", "contains `..`"),
        ),
        ("CVE-2001-1268 Info-ZIP: absolute", &[Raw::named("/x")], Refused("/x", "absolute")),
        ("CVE-2021-32804 node-tar: absolute twice", &[Raw::named("//x")], Refused("//x", "absolute")),
        ("parent at the end", &[dir("a/..")], Refused("a/..", "contains `..`")),
        (
            "CVE-2018-20990 tar-rs: hard link, then its content",
            &[hard("l", "/etc/passwd"), Raw::named("l")],
            Refused("l", "absolute"),
        ),
        ("hard link up", &[dir("d"), hard("d/l", "../outside")], Refused("d/l", "contains `..`")),
        (
            "CVE-2021-32803 node-tar: folder, then symlink",
            &[dir("d"), link("d", "."), Raw::named("d/x")],
            Refused("d", "another type"),
        ),
        (
            "CVE-2021-37701 node-tar: with a slash",
            &[dir("d/"), link("d", ".."), Raw::named("d/x")],
            Refused("d", "points outside"),
        ),
        (
            "CVE-2021-37712 node-tar: another spelling",
            &[dir("./d"), link("./d/", "."), Raw::named("d/x")],
            Refused("./d/", "another type"),
        ),
        (
            "CVE-2021-38511 tar-rs: folder through a symlink",
            &[link("l", "."), dir("l/made")],
            Refused("l/made", "through a symlink"),
        ),
        (
            "CVE-2002-1216 GNU tar: chain of symlinks",
            &[link("a", "."), link("b", "a/.."), Raw::named("b/x")],
            Refused("b/x", "through a symlink"),
        ),
        ("symlink out", &[link("l", "../outside")], Refused("l", "points outside")),
        ("absolute symlink", &[link("l", "/etc")], Refused("l", "points outside")),
        ("symlink out, by the way", &[link("l", "d/../../outside")], Refused("l", "points outside")),
        (
            "CVE-2025-4517 tarfile: hard link to a symlink",
            &[dir("d"), link("d/l", ".."), hard("l", "d/l")],
            Refused("l", "points outside"),
        ),
        (
            "hard link through a symlink",
            &[Raw::named("f"), link("s", "."), hard("l", "s/f")],
            Refused("l", "through a symlink"),
        ),
        ("hard link to itself", &[hard("l", "l")], Refused("l", "earlier file")),
        ("hard link to a later entry", &[hard("l", "f"), Raw::named("f")], Refused("l", "earlier file")),
        ("hard link to a folder", &[dir("d"), hard("l", "d")], Refused("l", "earlier file")),
        ("hard link to the root", &[hard("l", ".")], Refused("l", "earlier file")),
        ("link to nothing", &[link("l", "")], Refused("l", "no target")),
        ("hard link to nothing", &[hard("l", "")], Refused("l", "no target")),
        ("character device", &[Raw::new(b'3', "null")], Refused("null", "devices")),
        ("block device", &[Raw::new(b'4', "disk")], Refused("disk", "devices")),
        ("FIFO", &[Raw::new(b'6', "fifo")], Refused("fifo", "devices")),
        ("hard links", &[Raw::named("f"), hard("l", "f"), hard("d/m", "l"), hard("f", "l"), hard("l", "l")], Same),
        ("hard link to a symlink", &[dir("d"), link("d/s", "x"), hard("d/l", "d/s"), hard("l", "d/l")], Same),
        ("symlinks within", &[link("l", "d/x"), link("d/up", "../l"), link("d/x", "./nothing/..")], Same),
        ("symlink replaced", &[link("l", "a"), link("l", "b")], Same),
    ]);
}

#[test]
fn the_same_name_again() {
    let link = Raw::symlink;
    let dir = Raw::folder;
    check_members(&[
        ("the last one counts", &[Raw::file("f", "first"), Raw::file("./f", "2"), Raw::file("f", "third one")], Same),
        ("a name of a hard link", &[Raw::named("f"), Raw::hard_link("l", "f"), Raw::file("f", "new")], Same),
        ("folder twice", &[dir("d").mode(0o700), Raw::named("d/f"), dir("d").mode(0o750)], Same),
        ("folder after its files", &[Raw::named("d/e/f"), dir("d").mode(0o711)], Same),
        ("file, then folder", &[Raw::named("f"), dir("f")], Refused("f", "another type")),
        ("folder, then file", &[dir("f"), Raw::named("f")], Refused("f", "another type")),
        ("file as a folder", &[Raw::named("f"), Raw::named("f/x")], Refused("f/x", "not a folder")),
        ("symlink, then file", &[link("f", "x"), Raw::named("f")], Refused("f", "another type")),
        ("file, then symlink", &[Raw::named("f"), link("f", "x")], Refused("f", "another type")),
        ("symlink, then folder", &[dir("d"), link("f", "d"), dir("f")], Refused("f", "another type")),
        (
            "symlink, then hard link",
            &[Raw::named("f"), link("l", "x"), Raw::hard_link("l", "f")],
            Refused("l", "another type"),
        ),
    ]);
}
