//! Limits: inclusive, and named in the message.
use executor::extraction::{ExtractError, ExtractLimits, Limit};
use schemas::run::FailureReason;

use crate::tarball::{Raw, extract_bytes, gzip, tar};

#[test]
fn limits_are_inclusive_and_named() {
    let limits =
        ExtractLimits { entries: 3, unpacked_bytes: 1000, path_bytes: 99, path_depth: 10, ..ExtractLimits::default() };
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
    // Folders count that are only in a path.
    let limits = ExtractLimits { entries: 12, ..limits };
    extract_bytes(folder.path(), &gzip(&within), &limits).unwrap();
}

/// A run's archive may bring what the run could write, however small it is when it is compressed.
#[test]
fn a_tree_takes_no_more_than_a_run_has() {
    let limits = ExtractLimits::default().within(Some(64 << 10));
    let zeros = |name: &str, length: usize| Raw::file(name, &"\0".repeat(length));
    let named: Vec<Raw> = (0..17).map(|number| Raw::folder(number.to_string())).collect();
    for (archive, entry) in [
        (tar(&[zeros("large", 60 << 10 | 1)]), "large"),
        (tar(&[zeros("one", 30 << 10), zeros("other", 30 << 10)]), "other"),
        (tar(&named), "16"),
        // Folders count that are only in a path.
        (tar(&[Raw::new(b'0', "d/".repeat(16) + "f")]), "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/f"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = extract_bytes(folder.path(), &gzip(&archive), &limits).unwrap_err();
        assert!(matches!(&error, ExtractError::TooLarge { limit: Limit::DiskBytes, .. }), "{error}");
        assert_eq!(error.failure_reason(), FailureReason::ArchiveTooLarge);
        let message = error.to_string();
        assert!(message.contains(&format!("{entry:?}")) && message.contains("65536 bytes on disk"), "{message}");
    }
    let within = tar(&[zeros("one", 28 << 10), zeros("other", 28 << 10)]);
    let done = extract_bytes(tempfile::tempdir().unwrap().path(), &gzip(&within), &limits).unwrap();
    assert_eq!(done.disk_bytes, 64 << 10);
}

#[test]
fn folders_in_paths_are_entries() {
    let limits = ExtractLimits { entries: 100, ..ExtractLimits::default() };
    let many: Vec<Raw> = (0..10).map(|number| Raw::new(b'0', format!("{number}/{}f", "d/".repeat(10)))).collect();
    let error = extract_bytes(tempfile::tempdir().unwrap().path(), &gzip(&tar(&many)), &limits).unwrap_err();
    assert!(matches!(&error, ExtractError::TooLarge { limit: Limit::Entries, .. }), "{error}");
}

/// ext4 has 65,000 names for a file; others have more.
#[test]
fn more_hard_links_than_the_file_system_has_are_the_archives_fault() {
    let mut entries = vec![Raw::named("f")];
    entries.extend((0..65_001).map(|number| Raw::hard_link(number.to_string(), "f")));
    match extract_bytes(tempfile::tempdir().unwrap().path(), &gzip(&tar(&entries)), &ExtractLimits::default()) {
        Ok(done) => assert_eq!(done.entries, 65_002),
        Err(error) => {
            assert_eq!(error.failure_reason(), FailureReason::ArchiveInvalid, "{error}");
            assert!(error.to_string().contains("hard link") && error.to_string().contains("\"649"), "{error}");
        }
    }
}
