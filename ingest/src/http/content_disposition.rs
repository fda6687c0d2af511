//! `Content-Disposition: attachment` with any file name, after RFC 6266 and RFC 8187: an ASCII name for old
//! clients, and the exact one encoded.

use std::fmt::Write;

use axum::http::HeaderValue;

pub(crate) fn attachment(name: &str) -> HeaderValue {
    let mut plain = String::with_capacity(name.len());
    let mut encoded = String::with_capacity(name.len());
    for character in name.chars() {
        let safe = character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '%' | '/') || character == ' ';
        plain.push(if safe { character } else { '_' });
    }
    for byte in name.bytes() {
        // `attr-char` of RFC 8187.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into memory does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_name_can_break_out_of_the_header() {
        for (name, expected) in [
            ("a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
            ("ü \"x\".txt", "attachment; filename=\"_ _x_.txt\"; filename*=UTF-8''%C3%BC%20%22x%22.txt"),
            ("a\r\nb", "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
            ("../a%2f", "attachment; filename=\".._a_2f\"; filename*=UTF-8''..%2Fa%252f"),
        ] {
            assert_eq!(super::attachment(name), expected);
        }
    }
}
