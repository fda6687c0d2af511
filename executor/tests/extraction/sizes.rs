//! Sizes that readers see differently: what is content for one is a header for the other.
use executor::extraction::ExtractLimits;

use crate::compare::Expect::{Refused, Same};
use crate::compare::check_members;
use crate::tarball::{Raw, extract_bytes, gzip};

#[test]
fn sizes_that_readers_see_differently() {
    // What hides in content, for a reader that goes by the other size.
    let hidden = Raw::file("hidden", "surprise").bytes();
    let carrier = |size: u64| Raw::new(b'0', "f").content(&hidden).sized(size);
    let octal = |field: &[u8]| Raw::file("f", "ten bytes!").at(124, field);
    let differs = Refused("f", "differ in size");
    check_members(&[
        (
            "CVE-2025-62518 TARmageddon: nothing in the header",
            &[Raw::extended(b'x', &[("size", "1024")]), carrier(0)],
            differs,
        ),
        ("the other way round", &[Raw::extended(b'x', &[("size", "0")]), carrier(1024)], differs),
        ("the same size twice", &[Raw::extended(b'x', &[("size", "8")]), Raw::file("f", "12345678")], Same),
        ("larger than there is", &[Raw::extended(b'x', &[("size", "9999")]), Raw::file("f", "12345678")], differs),
        (
            "size is negative",
            &[Raw::extended(b'x', &[("size", "-1")]), Raw::named("f")],
            Refused("PaxHeaders/x", "size is not a number"),
        ),
        (
            "size is hexadecimal",
            &[Raw::extended(b'x', &[("size", "0x1")]), Raw::named("f")],
            Refused("PaxHeaders/x", "size is not a number"),
        ),
        (
            "size is empty",
            &[Raw::extended(b'x', &[("size", "")]), Raw::named("f")],
            Refused("PaxHeaders/x", "size is not a number"),
        ),
        (
            "size is too large for anything",
            &[Raw::extended(b'x', &[("size", "99999999999999999999")]), Raw::named("f")],
            Refused("PaxHeaders/x", "size is not a number"),
        ),
        ("octal without an end", &[octal(b"000000000012")], Same),
        ("octal with spaces", &[octal(b"         12 ")], Same),
        ("octal, ended early", &[octal(b"12 \0\0\0\0\0\0\0\0\0")], Same),
        ("octal, and more behind NUL", &[octal(b"12\x00777777777")], Refused("f", "size is not a number")),
        ("base 256", &[octal(b"\x80\0\0\0\0\0\0\0\0\0\0\x0a")], Same),
        (
            "base 256, negative",
            &[octal(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xf6")],
            Refused("f", "size is negative"),
        ),
        ("base 256, too large", &[octal(b"\x80\xff\xff\xff\0\0\0\0\0\0\0\0")], Refused("f", "size is not a number")),
        ("base 64 of old test versions", &[octal(b"+K\0\0\0\0\0\0\0\0\0\0")], Refused("f", "size is not a number")),
        ("decimal", &[octal(b"00000000009\0")], Refused("f", "size is not a number")),
        ("blank", &[octal(b"            ")], Refused("f", "size is not a number")),
        ("missing", &[Raw::new(b'0', "f").at(124, [0; 12])], Same),
        ("folder with a size", &[Raw::folder("d").content(&hidden)], Refused("d", "has a size")),
        ("symlink with a size", &[Raw::symlink("l", "x").content(&hidden)], Refused("l", "has a size")),
        (
            "hard link with a size",
            &[Raw::named("f"), Raw::hard_link("l", "f").content(&hidden)],
            Refused("l", "has a size"),
        ),
        (
            "hard link with an extended size",
            &[Raw::named("f"), Raw::extended(b'x', &[("size", "1024")]), Raw::hard_link("l", "f")],
            Refused("l", "differ in size"),
        ),
        ("a checksum of signed bytes", &[signed_checksum(Raw::file(b"\xe9t\xe9", "x"))], Same),
    ]);
    let cut = [Raw::file("f", "12345678").sized(0o777_7777_7777).bytes(), vec![0; 1024]].concat();
    let error = extract_bytes(tempfile::tempdir().unwrap().path(), &gzip(&cut), &ExtractLimits::default()).unwrap_err();
    assert!(error.to_string().contains("within the content"), "{error}");
}

fn signed_checksum(raw: Raw) -> Raw {
    let mut block = raw.block;
    block[148..156].fill(b' ');
    let sum: i32 = block.iter().map(|&byte| i32::from(byte.cast_signed())).sum();
    raw.wrong_checksum().at(148, format!("{sum:06o}\0 "))
}
