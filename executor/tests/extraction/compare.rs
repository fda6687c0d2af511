//! An archive against GNU tar: the trees are equal, or ours is refused by name. Nothing else may change either way.
use std::fs;

use executor::extraction::ExtractLimits;
use schemas::run::FailureReason;

use Expect::{Refused, Same};

use crate::tarball::{Raw, extract_bytes, gnu_list, gnu_tar, gzip, look, tar};

/// The expected result of an archive.
#[derive(Clone, Copy)]
pub(crate) enum Expect<'a> {
    /// The tree of GNU tar.
    Same,
    /// Refused as invalid, with this entry (or what was seen last) and this reason in the message.
    Refused(&'a str, &'a str),
}
/// Extracts with both, and compares. The error is what differs.
pub(crate) fn compare(archive: &[u8], expect: Expect<'_>) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("outside"), "outside").unwrap();
    let result = extract_bytes(folder.path(), archive, &ExtractLimits::default());
    let mut around: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    around.sort();
    if around != ["archive", "outside", "tree"] || fs::read(folder.path().join("outside")).unwrap() != b"outside" {
        return Err(format!("changed something outside of the tree: {around:?}"));
    }
    let ours = look(&folder.path().join("tree"));
    match (expect, result) {
        (Same, Ok(done)) => {
            let theirs = gnu_tar(folder.path()).map_err(|error| format!("GNU tar refuses it, we do not: {error}"))?;
            let counts = (done.entries, done.unpacked_bytes);
            let listed = gnu_list(folder.path());
            if counts != listed {
                return Err(format!("has {counts:?} entries and bytes, GNU tar lists {listed:?}"));
            }
            let differing = || ours.iter().find(|(path, found)| theirs.get(*path) != Some(found));
            if ours == theirs {
                Ok(())
            } else {
                Err(format!("{ours:?}\ndiffers from {theirs:?}\nin {:?}", differing()))
            }
        }
        (Refused(entry, reason), Err(error)) => {
            let message = error.to_string();
            // A long name is cut.
            let quoted = format!("{entry:?}").chars().take(200).collect::<String>();
            // Where no entry could be read, none is named.
            let named = (entry.is_empty() || message.contains(&quoted)) && message.contains(reason);
            if named && error.failure_reason() == FailureReason::ArchiveInvalid { Ok(()) } else { Err(message) }
        }
        (Same, Err(error)) => Err(format!("is refused: {error}")),
        (Refused(..), Ok(_)) => Err(format!("is accepted, as {ours:?}; GNU tar: {:?}", gnu_tar(folder.path()))),
    }
}

pub(crate) fn check_all(cases: &[(&str, Vec<u8>, Expect<'_>)]) {
    let compare = |(name, archive, expect): &(&str, Vec<u8>, Expect<'_>)| {
        compare(archive, *expect).err().map(|difference| format!("{name}: {difference}"))
    };
    let differences: Vec<String> = cases.iter().filter_map(compare).collect();
    assert!(differences.is_empty(), "{} of {}:\n\n{}", differences.len(), cases.len(), differences.join("\n\n"));
}

pub(crate) fn check_members(cases: &[(&str, &[Raw], Expect<'_>)]) {
    let cases: Vec<_> = cases.iter().map(|(name, members, expect)| (*name, gzip(&tar(members)), *expect)).collect();
    check_all(&cases);
}
