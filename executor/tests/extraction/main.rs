//! Archives, well-meant and hostile: what is extracted, what is refused, and under which name. The reference is GNU tar.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod compare;
mod ends;
mod extended;
mod hostile;
mod limits;
mod links;
mod names;
mod sizes;
mod sparse;
mod tarball;
mod writers;

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::sync::atomic::AtomicBool;

use executor::extraction::{ExtractError, ExtractLimits, extract};

use tarball::{Raw, gzip, tar};

#[test]
fn stops_when_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("archive"), gzip(&tar(&[Raw::file("a", "")]))).unwrap();
    let root = File::open(folder.path()).unwrap();
    let archive = File::open(folder.path().join("archive")).unwrap();
    let result = extract(archive, root.as_fd(), &ExtractLimits::default(), &AtomicBool::new(true));
    assert!(matches!(result, Err(ExtractError::Abandoned)));
}
