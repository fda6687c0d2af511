//! Ends of archives, and damage.
use executor::extraction::ExtractLimits;
use schemas::run::FailureReason;

use crate::compare::Expect::{Refused, Same};
use crate::compare::check_all;
use crate::tarball::{Raw, extract_bytes, gzip, look, tar};

#[test]
fn ends_and_damage() {
    let (a, b) = (Raw::named("a").bytes(), Raw::named("b").bytes());
    let zero = vec![0; 512];
    let tar_ab = [&a[..], &b, &zero, &zero].concat();
    let whole = gzip(&tar_ab);
    let bad = tar(&[Raw::named("a"), Raw::named("b").wrong_checksum()]);
    let members = [gzip(&tar_ab[..700]), gzip(&tar_ab[700..])].concat();
    check_all(&[
        ("two blocks of zeros, then more", gzip(&[&a[..], &zero, &zero, &b, b"rubbish"].concat()), Same),
        (
            "one block of zeros, then more",
            gzip(&[&a[..], &zero, &b, &zero, &zero].concat()),
            Refused("a", "single block of zeros"),
        ),
        ("one block of zeros at the end", gzip(&[&a[..], &zero].concat()), Same),
        ("no blocks of zeros", gzip(&[&a[..], &b].concat()), Same),
        ("empty archive", gzip(&[0; 10240]), Same),
        ("gzip in several members", members, Same),
        ("rubbish behind gzip", [&whole[..], b"rubbish"].concat(), Refused("b", "not a readable")),
        ("wrong checksum of a header", gzip(&bad), Refused("a", "wrong checksum")),
        ("cut in a header", gzip(&tar_ab[..1200]), Refused("a", "within a header")),
        ("cut in content", gzip(&tar_ab[..513]), Refused("a", "not a readable")),
        ("cut in padding", gzip(&tar_ab[..600]), Refused("a", "not a readable")),
        ("not gzip", tar_ab.clone(), Refused("", "not a readable")),
        ("nothing at all", Vec::new(), Refused("", "not a readable")),
    ]);
    for length in 0..whole.len() {
        let folder = tempfile::tempdir().unwrap();
        let error = extract_bytes(folder.path(), &whole[..length], &ExtractLimits::default()).unwrap_err();
        assert_eq!(error.failure_reason(), FailureReason::ArchiveInvalid, "cut at {length}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    extract_bytes(folder.path(), &whole, &ExtractLimits::default()).unwrap();
    let expected = look(&folder.path().join("tree"));
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x10;
        let folder = tempfile::tempdir().unwrap();
        if extract_bytes(folder.path(), &flipped, &ExtractLimits::default()).is_ok() {
            // Some bits mean nothing: the time in gzip's header, those that fill the last byte of compressed data.
            assert_eq!(look(&folder.path().join("tree")), expected, "flipped at {position}");
        }
    }
}
