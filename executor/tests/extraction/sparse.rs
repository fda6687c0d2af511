//! Sparse files: their maps say where content belongs.
use crate::compare::Expect::{Refused, Same};
use crate::compare::check_members;
use crate::tarball::Raw;

#[test]
fn sparse_files() {
    let old = |real: u64, map: &[(u64, u64)]| {
        let mut raw = Raw::new(b'S', "f").content("x".repeat(1024)).gnu().at(483, format!("{real:011o}\0"));
        for (number, (offset, length)) in map.iter().enumerate() {
            raw = raw.at(386 + number * 24, format!("{offset:011o}\0{length:011o}\0"));
        }
        raw
    };
    let new = |real: &str, map: &str| {
        let mut content = map.as_bytes().to_vec();
        content.resize(512, 0);
        content.extend_from_slice(&[b'x'; 1024]);
        let records = [
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "f"),
            ("GNU.sparse.realsize", real),
        ];
        [Raw::extended(b'x', &records), Raw::new(b'0', "GNUSparseFile.0/f").content(content)]
    };
    let refused = |reason| Refused("f", reason);
    check_members(&[
        ("GNU's own", &[old(99_999, &[(512, 512), (8192, 512), (99_999, 0)])], Same),
        ("GNU's own without a hole at its end", &[old(9216, &[(0, 512), (8704, 512)])], Same),
        ("out of order", &[old(9216, &[(8704, 512), (0, 512)])], refused("out of order")),
        ("overlap", &[old(9216, &[(0, 512), (256, 512)])], refused("out of order")),
        ("beyond the end", &[old(9000, &[(0, 512), (8704, 512)])], refused("exceeds its size")),
        ("GNU's own that ends early", &[old(99_999, &[(0, 512), (8704, 512)])], refused("ends before its size")),
        ("less than is stored", &[old(512, &[(0, 512)])], refused("another length")),
        ("more than is stored", &[old(9216, &[(0, 1024), (8704, 512)])], refused("another length")),
        ("not in whole blocks", &[old(9216, &[(0, 1000), (8704, 24)])], refused("begin with a block")),
        (
            "offset overflows",
            &[old(9216, &[(0, 1024)]).at(386, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff")],
            refused("exceeds its size"),
        ),
        ("of another format", &[old(9216, &[(0, 1024)]).at(257, "ustar\x0000")], refused("type is not supported")),
        ("POSIX, as bsdtar makes them", &new("9216", "2\n0\n512\n8704\n512\n"), Same),
        ("POSIX, with a hole at its end", &new("99999", "3\n0\n512\n8704\n512\n99999\n0\n"), Same),
        ("POSIX that ends early", &new("99999", "2\n0\n512\n8704\n512\n"), refused("ends before its size")),
        ("POSIX, no number", &new("9216", "2\n0\n512\nx\n512\n"), refused("malformed")),
        ("POSIX, no end", &new("9216", "9\n0\n512\n8704\n512\n"), refused("malformed")),
        ("POSIX, endless", &new("9216", "18446744073709551615\n0\n512\n"), refused("malformed")),
        ("POSIX, too short", &new("512", "1\n0\n512\n"), refused("another length")),
    ]);
    let (sparse, file) =
        (Raw::extended(b'x', &[("GNU.sparse.size", "10"), ("GNU.sparse.numblocks", "0")]), Raw::named("f"));
    let other = Refused("f", "create it without --sparse");
    check_members(&[("POSIX, of old", &[sparse, file], other)]);
}
