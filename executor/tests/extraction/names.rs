//! Names, types and permissions.
use crate::compare::Expect::{Refused, Same};
use crate::compare::check_members;
use crate::tarball::{self, Raw};

#[test]
fn names_and_types() {
    let long = "n".repeat(255);
    let path = format!("{}/{}", "a".repeat(120), "b".repeat(80));
    let deep = "d/".repeat(120) + "f";
    check_members(&[
        (
            "control characters",
            &[Raw::named("a\nb\x1b[31m\x7f"), Raw::named(" "), Raw::named("-rf"), Raw::named("a\\b"), Raw::named("*")],
            Same,
        ),
        ("no UTF-8", &[Raw::file(b"\xff\xfe\x80", "x")], Same),
        (
            "a trailing slash makes a folder",
            &[Raw::new(b'0', "d/").mode(0o755), Raw::new(0, "e/").v7().mode(0o700)],
            Same,
        ),
        ("file with a trailing slash", &[Raw::file("d/", "x")], Refused("d/", "has a size")),
        ("names of the root", &[Raw::folder("."), Raw::folder("./"), Raw::named("././a/.//b")], Same),
        ("root as a file", &[Raw::named(".")], Refused(".", "names the root")),
        ("root as a symlink", &[Raw::symlink("./", "x")], Refused("./", "names the root")),
        ("no name", &[Raw::named("")], Refused("", "no name")),
        ("all of the name field", &[Raw::named(&"n".repeat(100))], Same),
        ("prefix of ustar", &[Raw::named("f").at(345, "some/folder")], Same),
        (
            "prefix and name as long as they get",
            &[Raw::file("f".repeat(100), "x").at(345, "p/".repeat(77) + "p")],
            Same,
        ),
        ("prefix without magic", &[Raw::named("f").v7().at(345, "some/folder")], Same),
        ("prefix in the format of GNU", &[Raw::named("f").gnu().at(345, "00000000000\0")], Same),
        ("prefix that leads out", &[Raw::named("f").at(345, "..")], Refused("../f", "contains `..`")),
        ("prefix that is absolute", &[Raw::named("f").at(345, "/etc")], Refused("/etc/f", "absolute")),
        ("deep", &[Raw::named("f"), Raw::long(b'L', &deep), Raw::named("x")], Same),
        ("long name of GNU", &[Raw::long(b'L', &path), Raw::named("cut")], Same),
        ("long target of GNU", &[Raw::long(b'K', &path), Raw::symlink("l", "cut"), Raw::named("f")], Same),
        ("long name and target", &[Raw::long(b'K', &path), Raw::long(b'L', &long), Raw::symlink("l", "cut")], Same),
        (
            "two long names",
            &[Raw::long(b'L', "a"), Raw::long(b'L', "b"), Raw::named("f")],
            Refused("././@LongLink", "two long names"),
        ),
        ("long name with NUL", &[Raw::long(b'L', "a\0b"), Raw::named("f")], Refused("././@LongLink", "NUL")),
        (
            "long name that goes on",
            &[Raw::long(b'L', "name").sized(2), Raw::named("f")],
            Refused("././@LongLink", "behind its end"),
        ),
        ("long name without NUL", &[Raw::long(b'L', "name").sized(4), Raw::named("f")], Same),
        ("long name without text", &[Raw::long(b'L', ""), Raw::named("f")], Refused("././@LongLink", "empty")),
        ("long name of nothing", &[Raw::long(b'L', "a")], Refused("././@LongLink", "does not follow")),
        ("long name that leads out", &[Raw::long(b'L', "../x"), Raw::named("f")], Refused("../x", "contains `..`")),
        ("label of a tape", &[Raw::new(b'V', "label").gnu(), Raw::named("f")], Same),
        (
            "label that is none",
            &[Raw::new(b'V', "label").gnu().at(100, "0001288")],
            Refused("label", "mode is not a number"),
        ),
        ("incremental dump", &[Raw::new(b'D', "d").gnu()], Refused("d", "type is not supported")),
        ("continued from another tape", &[Raw::new(b'M', "f").gnu()], Refused("f", "type is not supported")),
        (
            "type of Solaris",
            &[Raw::new(b'X', "f").content(tarball::record("path", "x")), Raw::named("f")],
            Refused("f", "type is not supported"),
        ),
        ("contiguous file", &[Raw::named("f").at(156, "7")], Same),
        ("unknown type", &[Raw::new(b'Z', "z")], Refused("z", "type is not supported")),
        (
            "name too long for the disk",
            &[Raw::long(b'L', &"n".repeat(256)), Raw::named("f")],
            Refused(&"n".repeat(201), "too long"),
        ),
    ]);
}

#[test]
fn permissions() {
    check_members(&[
        ("setuid, setgid and sticky", &[Raw::named("f").mode(0o7755), Raw::folder("d").mode(0o7777)], Same),
        (
            "no permissions",
            &[Raw::folder("d").mode(0), Raw::named("d/f").mode(0), Raw::named("d/e/g").mode(0o222)],
            Same,
        ),
        ("read-only folder with content", &[Raw::folder("d").mode(0o555), Raw::named("d/f").mode(0o444)], Same),
        ("writable by all, whatever the umask", &[Raw::named("f").mode(0o666), Raw::folder("d").mode(0o777)], Same),
        ("mode is missing", &[Raw::named("f").at(100, [0; 8])], Same),
        ("mode is not a number", &[Raw::named("f").at(100, "rw-r--r-")], Refused("f", "mode is not a number")),
    ]);
}
