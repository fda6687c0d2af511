//! A client's declaration of an archive, before its bytes.

use axum::http::{HeaderMap, header};
use serde::Serialize;

use crate::http::error::{ApiError, Code};

const SHA256_HEADER: &str = "x-crownest-archive-sha256";
const SIZE_HEADER: &str = "x-crownest-archive-size";

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Declared {
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
}

impl Declared {
    pub(crate) fn new(sha256: &str, size_bytes: u64, max_bytes: u64) -> Result<Self, ApiError> {
        let valid = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !valid {
            return Err(ApiError::invalid("The SHA-256 of the archive: expected 64 hexadecimal digits."));
        }
        if size_bytes == 0 {
            return Err(ApiError::invalid("The size of the archive: expected at least 1 byte."));
        }
        if size_bytes > max_bytes {
            let message = format!("The archive has {size_bytes} bytes: at most {max_bytes} are accepted here.");
            return Err(ApiError::new(Code::FileTooLarge, message)
                .with_details(serde_json::json!({ "maxSizeBytes": max_bytes })));
        }
        Ok(Self { sha256: sha256.to_ascii_lowercase(), size_bytes })
    }

    /// Reads the headers of a direct upload.
    pub(crate) fn from_headers(headers: &HeaderMap, max_bytes: u64) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let sha256 = text(SHA256_HEADER)
            .ok_or_else(|| ApiError::invalid(format!("Expected the header {SHA256_HEADER}: 64 hexadecimal digits.")))?;
        let size = text(SIZE_HEADER).and_then(|size| size.parse::<u64>().ok());
        let size =
            size.ok_or_else(|| ApiError::invalid(format!("Expected the header {SIZE_HEADER}: a number of bytes.")))?;
        Self::new(sha256, size, max_bytes)
    }

    /// Refuses an upload at once whose Content-Length differs from the declaration.
    pub(crate) fn check_content_length(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        match length.and_then(|text| text.parse::<u64>().ok()) {
            Some(length) if length != self.size_bytes => Err(self.size_mismatch(length)),
            _ => Ok(()),
        }
    }

    pub(crate) fn size_mismatch(&self, got: u64) -> ApiError {
        let message = format!("The archive was declared with {} bytes, but {got} arrived.", self.size_bytes);
        ApiError::new(Code::UploadSizeMismatch, message)
    }

    pub(crate) fn checksum_mismatch(&self, got: &str) -> ApiError {
        let message =
            format!("The archive was declared with SHA-256 {}, but the received bytes have {got}.", self.sha256);
        ApiError::new(Code::UploadChecksumMismatch, message)
    }

    /// Refuses a later declaration of another archive.
    pub(crate) fn check_same(&self, other: &Self) -> Result<(), ApiError> {
        if self.sha256 != other.sha256 {
            return Err(self.checksum_mismatch(&other.sha256));
        }
        if self.size_bytes != other.size_bytes {
            return Err(self.size_mismatch(other.size_bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_checked() {
        let digest = "AB".repeat(32);
        assert_eq!(Declared::new(&digest, 5, 10).unwrap().sha256, "ab".repeat(32));
        for (sha256, size, code) in [
            ("ab", 5, Code::InvalidRequest),
            (&*"zz".repeat(32), 5, Code::InvalidRequest),
            (&*digest, 0, Code::InvalidRequest),
            (&*digest, 11, Code::FileTooLarge),
        ] {
            let refused = Declared::new(sha256, size, 10).unwrap_err();
            assert!(matches!(refused, ApiError::Refused { code: got, .. } if got == code), "{sha256} {size}");
        }
    }
}
