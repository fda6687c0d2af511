//! Requests of strangers to the HTTP API.
use schemas::limits::{ARTIFACTS, COMMAND_BYTES, PATH_BYTES};

pub(crate) fn request(bytes: &[u8]) -> bool {
    let Some((command, artifacts)) = ingest::fuzzing::request(bytes) else { return false };
    // Commands and paths become arguments of programs.
    assert!(!command.contains('\0') && command.len() <= COMMAND_BYTES);
    assert!(artifacts.len() <= ARTIFACTS);
    assert!(artifacts.iter().all(|path| !path.contains('\0') && (1..=PATH_BYTES).contains(&path.len())));
    true
}

pub(crate) fn query(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    for size in [0, 1, 100, u64::MAX] {
        ingest::fuzzing::headers(text, size);
    }
    ingest::fuzzing::query(text).is_some()
}
