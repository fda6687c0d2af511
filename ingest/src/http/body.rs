//! Bodies: JSON of requests, with a bound and errors that say what was expected; and objects of the store as answers.

use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use infra::s3::ByteStream;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{ApiError, Code};

/// Larger than the largest valid request: a command of 64 KiB, its variables and metadata,
/// every character of them escaped.
const MAX_BYTES: usize = 1024 * 1024;
/// Bounds how long a slow client holds a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Streams an object of the store.
pub(crate) fn from_store(object: ByteStream) -> Body {
    Body::from_stream(futures_util::stream::try_unfold(object, |mut object: ByteStream| async move {
        let piece = object.try_next().await.map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(piece.map(|piece| (piece, object)))
    }))
}

/// Reads a JSON object, whatever the content type says it is.
pub(crate) async fn read_json(body: Body) -> Result<Value, ApiError> {
    let reading = tokio::time::timeout(READ_TIMEOUT, Limited::new(body, MAX_BYTES).collect()).await;
    let read = reading.map_err(|_| ApiError::invalid(format!("The body was not complete within {READ_TIMEOUT:?}.")))?;
    let collected = read.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return ApiError::new(Code::FileTooLarge, format!("The body is larger than {MAX_BYTES} bytes."));
        }
        ApiError::invalid("The body ended before it was complete.")
    })?;
    parse_object(&collected.to_bytes())
}

pub(crate) fn parse_object(bytes: &[u8]) -> Result<Value, ApiError> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::invalid(format!("The body is not well-formed JSON: {error}.")))?;
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
}
