//! The JSON envelope of all messages but segments: `{"v":1,…}`. The same bound holds at both ends.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;
/// Bytes of a message, or of the head of an event message. No service writes a larger one, and none reads it.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("message of {0} bytes, expected at most {MAX_BYTES}")]
    TooLarge(usize),
    #[error("a segment with {0}")]
    Segment(&'static str),
    #[error("a message that has no form in JSON")]
    Json(#[from] serde_json::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("message version {0}, expected {VERSION}")]
    Version(u32),
    #[error("message of {0} bytes, expected at most {MAX_BYTES}")]
    TooLarge(usize),
    #[error("truncated message")]
    Truncated,
    #[error("a segment with {0}")]
    Segment(&'static str),
    #[error("malformed message")]
    Json(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    #[serde(flatten)]
    body: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

/// Refuses what [`decode_json`] would refuse.
pub fn encode_json<T: Serialize>(body: &T) -> Result<Vec<u8>, EncodeError> {
    let bytes = serde_json::to_vec(&Envelope { v: VERSION, body })?;
    if bytes.len() > MAX_BYTES { Err(EncodeError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

pub fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    // The version decides how the rest is read, so it is read first.
    let VersionOnly { v } = serde_json::from_slice(bytes)?;
    if v != VERSION {
        return Err(DecodeError::Version(v));
    }
    Ok(serde_json::from_slice::<Envelope<T>>(bytes)?.body)
}
