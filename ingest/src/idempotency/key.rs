//! The header `Idempotency-Key`.

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use schemas::limits::IDEMPOTENCY_KEY_CHARS;

use crate::http::error::ApiError;

/// The key of a request, if it has one.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => parse(value).map(|key| Self(Some(key))),
            (Some(_), Some(_)) => Err(ApiError::invalid("Idempotency-Key: expected at most once.")),
        }
    }
}

fn parse(value: &HeaderValue) -> Result<String, ApiError> {
    let bytes = value.as_bytes();
    let valid = (1..=IDEMPOTENCY_KEY_CHARS).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    let key = valid.then(|| String::from_utf8_lossy(bytes).into_owned());
    key.ok_or_else(|| ApiError::invalid("Idempotency-Key: expected 1 to 255 visible ASCII characters."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        for (text, valid) in [("a", true), (&*"x".repeat(255), true), ("", false), ("a b", false)] {
            assert_eq!(parse(&HeaderValue::from_str(text).unwrap()).is_ok(), valid, "{text}");
        }
        assert!(parse(&HeaderValue::from_str(&"x".repeat(256)).unwrap()).is_err());
        assert!(parse(&HeaderValue::from_bytes("é".as_bytes()).unwrap()).is_err());
    }
}
