//! Limits: inclusive, and named in the message.
use executor::extraction::{ExtractError, ExtractLimits, Limit};
use schemas::run::FailureReason;

use crate::tarball::{Raw, extract_bytes, gzip, tar};

#[test]
fn limits_are_inclusive_and_named() {
    let limits = ExtractLimits { entries: 3, unpacked_bytes: 1000, path_bytes: 99, path_depth: 10 };
    let kilobyte = "x".repeat(600);
    let hole = Raw::new(b'S', "hole").gnu().at(483, "77777777777\0").at(386, "77777777777\x0000000000000\0");
    let bomb = [Raw::named("a").bytes(), vec![0; 64 << 20]].concat();
    let long_name = Raw::long(b'L', &"n".repeat(2 << 20));
    let globals = vec![Raw::extended(b'g', &[("comment", &"c".repeat(100_000))]); 20];
    let many_names = vec![Raw::extended(b'x', &[("comment", &"c".repeat(2 << 20))]), Raw::named("f")];
    for (archive, entry, limit) in [
        (tar(&[Raw::named("1"), Raw::named("2"), Raw::named("3"), Raw::named("4")]), "4", Limit::Entries),
        (tar(&[Raw::file("1", &kilobyte), Raw::file("2", &kilobyte)]), "2", Limit::UnpackedBytes),
        (tar(&[hole]), "hole", Limit::UnpackedBytes),
        (tar(&[Raw::extended(b'x', &[("size", "9999999999999")]), Raw::named("huge")]), "huge", Limit::UnpackedBytes),
        (tar(&[Raw::named(&"n".repeat(100))]), &"n".repeat(100), Limit::PathBytes),
        (tar(&[Raw::symlink("l", &"n".repeat(100))]), "l", Limit::PathBytes),
        (tar(&[Raw::named(&("d/".repeat(10) + "f"))]), "d/d/d/d/d/d/d/d/d/d/f", Limit::PathDepth),
        (bomb, "a", Limit::UnpackedBytes),
        (tar(&[long_name, Raw::named("f")]), "././@LongLink", Limit::HeaderBytes),
        (tar(&globals), "PaxHeaders/x", Limit::HeaderBytes),
        (tar(&many_names), "PaxHeaders/x", Limit::HeaderBytes),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = extract_bytes(folder.path(), &gzip(&archive), &limits).unwrap_err();
        assert_eq!(error.failure_reason(), FailureReason::ArchiveTooLarge, "{error}");
        assert!(matches!(&error, ExtractError::TooLarge { limit: found, .. } if *found == limit), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("{entry:?}")) && message.contains(&limit.to_string()), "{message}");
    }
    let within =
        tar(&[Raw::file("1", &"x".repeat(1000)), Raw::new(b'0', "d/".repeat(9) + "f"), Raw::folder("n".repeat(99))]);
    let folder = tempfile::tempdir().unwrap();
    extract_bytes(folder.path(), &gzip(&within), &limits).unwrap();
}
