//! Answers with the bytes of one stored object, or with one range of them (RFC 9110 section 14).

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use infra::s3::StoreError;

use super::body::from_store;
use super::byte_range::{Ranged, resolve};
use super::content_disposition;
use super::error::{ApiError, Code};
use crate::operation::Call;

/// What is in memory of an object between the store and a client that takes nothing, measured.
const STREAM_BYTES: u64 = 384 * 1024;

/// An object whose bytes never change.
#[derive(Debug)]
pub(crate) struct StoredObject<'a> {
    /// The noun for messages, such as `artifact`.
    pub what: &'static str,
    pub object_key: &'a str,
    pub size_bytes: u64,
    /// Names the content, without quotes.
    pub tag: &'a str,
    pub content_type: Option<&'a str>,
    pub file_name: &'a str,
}

impl StoredObject<'_> {
    pub(crate) async fn answer(&self, call: &Call) -> Result<Response, ApiError> {
        let etag = format!("\"{}\"", self.tag);
        let text = |name| call.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        // A range of other bytes than those that the client has is of no use to it.
        let range = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|wanted| wanted == etag));
        let ranged = range.map_or(Ranged::Whole, |range| resolve(range, self.size_bytes));
        let (status, length, content_range) = match &ranged {
            Ranged::Whole => (StatusCode::OK, self.size_bytes, None),
            Ranged::Part(part) => {
                let (start, end) = (part.start(), part.end());
                let described = format!("bytes {start}-{end}/{}", self.size_bytes);
                (StatusCode::PARTIAL_CONTENT, end - start + 1, Some(described))
            }
            Ranged::Unsatisfiable => return Ok(self.unsatisfiable()),
        };
        let body = if self.size_bytes == 0 { Body::empty() } else { self.open(call, &ranged).await? };
        let mut response = (status, body).into_response();
        let answer = response.headers_mut();
        answer.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        let content_type = self.content_type.and_then(|text| HeaderValue::from_str(text).ok());
        let unknown = HeaderValue::from_static("application/octet-stream");
        answer.insert(header::CONTENT_TYPE, content_type.unwrap_or(unknown));
        answer.insert(header::CONTENT_DISPOSITION, content_disposition::attachment(self.file_name));
        for (name, value) in [(header::ETAG, Some(etag)), (header::CONTENT_RANGE, content_range)] {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                answer.insert(name, value);
            }
        }
        Ok(response)
    }

    async fn open(&self, call: &Call, ranged: &Ranged) -> Result<Body, ApiError> {
        let held = call.app.answer_buffers.take_in_time(call.caller.org(), STREAM_BYTES.min(self.size_bytes)).await?;
        let range = match ranged {
            Ranged::Part(part) => Some(format!("bytes={}-{}", part.start(), part.end())),
            _ => None,
        };
        let stream = call.app.store.get_stream(self.object_key, range).await.map_err(|error| match error {
            // The object was deleted since the database was asked, or from outside.
            StoreError::NotFound(_) => ApiError::not_found(self.what),
            other => other.into(),
        })?;
        Ok(held.until_sent(from_store(stream)))
    }

    fn unsatisfiable(&self) -> Response {
        let message = format!("Range: expected a range within the {} bytes of this {}.", self.size_bytes, self.what);
        let mut response = ApiError::new(Code::RangeNotSatisfiable, message).into_response();
        if let Ok(value) = HeaderValue::try_from(format!("bytes */{}", self.size_bytes)) {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
        response
    }
}
