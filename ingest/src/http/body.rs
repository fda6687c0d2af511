//! Bodies: JSON of requests, with a bound and errors that say what was expected; and objects of the store as answers.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use infra::s3::ByteStream;
use schemas::canonical;
use schemas::id::OrgId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::budget::Budget;
use super::error::{ApiError, Code};
use crate::archive::discard;

/// Larger than the largest valid request: a command of 64 KiB, its variables and metadata,
/// every character of them escaped.
const MAX_BYTES: u64 = 1024 * 1024;
/// Bodies up to this size are read without asking for memory.
const SMALL_BYTES: u64 = 16 * 1024;
/// More than the largest valid request has. A value takes far more memory than its text.
const MAX_VALUES: usize = 10_000;
/// Bounds how long a slow client holds a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Streams an object of the store.
pub(crate) fn from_store(object: ByteStream) -> Body {
    Body::from_stream(futures_util::stream::try_unfold(object, |mut object: ByteStream| async move {
        let piece = object.try_next().await.map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(piece.map(|piece| (piece, object)))
    }))
}

/// Reads a JSON object, whatever the content type says it is. A large one takes its memory from the budget first.
pub(crate) async fn read_json(body: Body, buffers: &Budget, org: &OrgId) -> Result<Value, ApiError> {
    // A client that does not say how long its body is may send the longest.
    let announced = body.size_hint().upper().unwrap_or(MAX_BYTES);
    if announced > MAX_BYTES {
        return Err(too_large(body).await);
    }
    let _held = match announced {
        ..=SMALL_BYTES => None,
        large => Some(buffers.take_in_time(org, large).await?),
    };
    let mut body = body;
    let read = tokio::time::timeout(READ_TIMEOUT, collect(&mut body, announced)).await;
    let read = read.map_err(|_| ApiError::invalid(format!("The body was not complete within {READ_TIMEOUT:?}.")))?;
    match read? {
        Some(bytes) => parse_object(&bytes),
        None => Err(too_large(body).await),
    }
}

/// The whole body; `None` if it is too large. The pieces are copied together: each piece may keep a much larger buffer of the
/// connection in memory.
async fn collect(body: &mut Body, announced: u64) -> Result<Option<Vec<u8>>, ApiError> {
    let mut bytes = Vec::with_capacity(usize::try_from(announced.min(SMALL_BYTES)).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::invalid("The body ended before it was complete."))?;
        let Ok(data) = frame.into_data() else { continue };
        if (bytes.len() + data.len()) as u64 > MAX_BYTES {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes))
}

async fn too_large(body: Body) -> ApiError {
    discard(body).await;
    ApiError::new(Code::FileTooLarge, format!("The body is larger than {MAX_BYTES} bytes."))
}

pub(crate) fn parse_object(bytes: &[u8]) -> Result<Value, ApiError> {
    // Also refuses a member that is there twice: readers differ in which one counts.
    let value = canonical::from_slice_of(bytes, MAX_VALUES)
        .map_err(|error| ApiError::invalid(format!("The body: expected JSON with each member once: {error}.")))?;
    if value.is_object() { Ok(whole(value)) } else { Err(ApiError::invalid("The body: expected a JSON object.")) }
}

/// Makes `7.0` an integer: JSON Schema takes it for one, serde does not.
fn whole(value: Value) -> Value {
    /// Above this number, floats skip whole numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small enough")]
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => (float as i64).into(),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        other => other,
    }
}

/// The typed request; unknown members are ignored.
pub(crate) fn shape<T: DeserializeOwned>(value: &Value) -> Result<T, ApiError> {
    T::deserialize(value)
        .map_err(|error| ApiError::invalid(format!("The body does not have the expected shape: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_integers_however_they_are_written() {
        let read = parse_object(br#"{"a":[7.0,-1e3,1.5,1e300,9007199254740993]}"#).unwrap();
        assert_eq!(read.to_string(), r#"{"a":[7,-1000,1.5,1e+300,9007199254740993]}"#);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(parse_object(b"{\"a\":1}").is_ok());
        for text in ["", "{", "[]", "1", "null", "\u{feff}{}"] {
            assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_member_is_there_once_and_values_have_a_number() {
        for (text, named) in [
            (r#"{"command":"a","command":"b"}"#, "the member `command` occurs twice"),
            (r#"{"metadata":{"a":"1","b":"2","\u0061":"3"}}"#, "the member `a` occurs twice"),
            (r#"{"artifacts":[{"path":"x"},{"path":"y","path":"y"}]}"#, "the member `path` occurs twice"),
            (&format!("{{\"a\":[{}0]}}", "0,".repeat(MAX_VALUES)), "more than 10000 values"),
        ] {
            let Err(ApiError::Refused { message, .. }) = parse_object(text.as_bytes()) else { panic!("{text}") };
            assert!(message.contains(named), "{message}");
        }
        assert!(parse_object(format!("{{\"a\":[{}0]}}", "0,".repeat(MAX_VALUES - 3)).as_bytes()).is_ok());
    }
}
