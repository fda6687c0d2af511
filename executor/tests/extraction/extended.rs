//! Extended headers (pax), well-formed and not.
use crate::compare::Expect::{Refused, Same};
use crate::compare::check_members;
use crate::tarball::Raw;

#[test]
fn what_they_say() {
    check_members(&[
        ("path", &[Raw::extended(b'x', &[("path", "some/where/else"), ("comment", "path=x")]), Raw::named("f")], Same),
        ("path with a newline", &[Raw::extended(b'x', &[("path", "a\n12 path=evil\nb")]), Raw::named("f")], Same),
        ("target", &[Raw::extended(b'x', &[("linkpath", "some/where")]), Raw::symlink("l", "cut")], Same),
        (
            "target that leads out",
            &[Raw::extended(b'x', &[("linkpath", "../x")]), Raw::symlink("l", "cut")],
            Refused("l", "points outside"),
        ),
        (
            "path that leads out",
            &[Raw::extended(b'x', &[("path", "../x")]), Raw::named("f")],
            Refused("../x", "contains `..`"),
        ),
        ("time with a fraction", &[Raw::extended(b'x', &[("mtime", "1234567890.987654321")]), Raw::named("f")], Same),
        (
            "time before 1970",
            &[
                Raw::extended(b'x', &[("mtime", "-1.25")]),
                Raw::named("f"),
                Raw::named("g").at(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
            ],
            Same,
        ),
        (
            "time is none",
            &[Raw::extended(b'x', &[("mtime", "yesterday")]), Raw::named("f")],
            Refused("PaxHeaders/x", "time is not a time"),
        ),
        (
            "what others say",
            &[
                Raw::extended(
                    b'x',
                    &[
                        ("SCHILY.xattr.user.a", "b"),
                        ("LIBARCHIVE.creationtime", "1"),
                        ("uid", "7"),
                        ("uname", "a"),
                        ("atime", "1.5"),
                    ],
                ),
                Raw::named("f"),
            ],
            Same,
        ),
        (
            "names as bytes",
            &[Raw::new(b'x', "PaxHeaders/x").content(b"21 hdrcharset=BINARY\n11 path=\xe9\n"), Raw::named("f")],
            Refused("PaxHeaders/x", "malformed"),
        ),
        (
            "names as bytes, as bsdtar says it",
            &[Raw::new(b'x', "PaxHeaders/x").content(b"21 hdrcharset=BINARY\n10 path=\xe9\n"), Raw::named("f")],
            Same,
        ),
        (
            "names in UTF-8",
            &[Raw::extended(b'x', &[("hdrcharset", "ISO-IR 10646 2000 UTF-8"), ("path", "é")]), Raw::named("f")],
            Same,
        ),
        (
            "names in another encoding",
            &[Raw::extended(b'x', &[("hdrcharset", "ISO-IR 8859 1 1998")]), Raw::named("f")],
            Refused("PaxHeaders/x", "hdrcharset"),
        ),
    ]);
}

#[test]
fn what_is_malformed_or_ambiguous() {
    let malformed = |text: &str| Raw::new(b'x', "PaxHeaders/x").content(text);
    let broken = Refused("PaxHeaders/x", "malformed");
    let twice = Refused("PaxHeaders/x", "same thing twice");
    check_members(&[
        ("path twice", &[Raw::extended(b'x', &[("path", "a"), ("path", "b")]), Raw::named("f")], twice),
        ("size twice", &[Raw::extended(b'x', &[("size", "1"), ("size", "1")]), Raw::file("f", "x")], twice),
        ("empty path", &[Raw::extended(b'x', &[("path", "")]), Raw::named("f")], Refused("PaxHeaders/x", "empty path")),
        ("path with NUL", &[Raw::extended(b'x', &[("path", "a\0b")]), Raw::named("f")], Refused("PaxHeaders/x", "NUL")),
        ("length is short", &[malformed("8 path=a\n"), Raw::named("f")], broken),
        ("length is long", &[malformed("99 path=a\n"), Raw::named("f")], broken),
        ("length is missing", &[malformed("path=a\n"), Raw::named("f")], broken),
        ("length has a sign", &[malformed("+10 path=a\n"), Raw::named("f")], broken),
        ("no newline", &[malformed("10 path=ab"), Raw::named("f")], broken),
        ("no equals sign", &[malformed("7 path\n"), Raw::named("f")], broken),
        ("zeros behind", &[malformed("10 path=a\n\0\0"), Raw::named("f")], broken),
        ("without records", &[malformed(""), Raw::named("f")], Same),
        (
            "two extended headers",
            &[Raw::extended(b'x', &[("path", "a")]), Raw::extended(b'x', &[("mtime", "1")]), Raw::named("f")],
            Refused("PaxHeaders/x", "two extended headers"),
        ),
        (
            "extended header of nothing",
            &[Raw::named("f"), Raw::extended(b'x', &[("path", "a")])],
            Refused("PaxHeaders/x", "does not follow"),
        ),
        (
            "GNU's long name and a path",
            &[Raw::extended(b'x', &[("path", "a")]), Raw::long(b'L', "b"), Raw::named("f")],
            Refused("b", "GNU long name and one in"),
        ),
        (
            "a path and GNU's long name",
            &[Raw::long(b'L', "b"), Raw::extended(b'x', &[("path", "a")]), Raw::named("f")],
            Refused("b", "GNU long name and one in"),
        ),
        (
            "GNU's long target and a linkpath",
            &[Raw::long(b'K', "b"), Raw::extended(b'x', &[("linkpath", "a")]), Raw::symlink("l", "c")],
            Refused("l", "GNU long name and one in"),
        ),
        (
            "GNU's long name and a time",
            &[Raw::extended(b'x', &[("mtime", "5")]), Raw::long(b'L', "b"), Raw::named("f")],
            Same,
        ),
    ]);
}

#[test]
fn global_headers() {
    let trap = Refused("PaxHeaders/x", "a global header sets");
    check_members(&[
        ("commit of `git archive`", &[Raw::extended(b'g', &[("comment", &"a".repeat(40))]), Raw::named("f")], Same),
        (
            "time of all",
            &[
                Raw::extended(b'g', &[("mtime", "77.5")]),
                Raw::named("f"),
                Raw::extended(b'x', &[("mtime", "5")]),
                Raw::named("g"),
                Raw::named("h"),
            ],
            Same,
        ),
        ("path of all", &[Raw::extended(b'g', &[("path", "x")]), Raw::named("f")], trap),
        ("target of all", &[Raw::extended(b'g', &[("linkpath", "x")]), Raw::named("f")], trap),
        ("size of all", &[Raw::extended(b'g', &[("size", "0")]), Raw::named("f")], trap),
        ("sparse map of all", &[Raw::extended(b'g', &[("GNU.sparse.major", "1")]), Raw::named("f")], trap),
        (
            "a global header in between",
            &[Raw::extended(b'x', &[("path", "a")]), Raw::extended(b'g', &[("comment", "x")]), Raw::named("f")],
            Refused("PaxHeaders/x", "separates"),
        ),
    ]);
}
