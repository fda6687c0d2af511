//! Encodings in which programs write a text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Characters beside letters and digits that a URL does not escape: by RFC 3986, by `encodeURIComponent`, by Python's `quote`.
const URL_SAFE: [&[u8]; 3] = [b"-._~", b"-._~!*'()", b"-._~/"];

/// The text as a part of URLs, forms and JSON. Most texts look the same in all of them.
pub(super) fn escaped(text: &str) -> Vec<String> {
    let mut forms: Vec<String> = URL_SAFE.iter().map(|safe| percent(text, safe)).collect();
    forms.push(forms[0].replace("%20", "+"));
    // The quotes are not part of the text.
    let json = serde_json::Value::from(text).to_string();
    let json = &json[1..json.len() - 1];
    forms.extend([json.to_owned(), ascii(json)]);
    forms
}

/// In hexadecimal, and within base64 of either alphabet, wherever in the encoded text it begins.
pub(super) fn encoded(text: &str) -> Vec<String> {
    let mut forms = vec![hex::encode(text), hex::encode_upper(text)];
    for shift in 0..3 {
        let standard = within_base64(text, shift);
        forms.push(standard.replace('+', "-").replace('/', "_"));
        forms.push(standard);
    }
    forms
}

fn percent(text: &str, safe: &[u8]) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || safe.contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.push('%');
            written.push_str(&hex::encode_upper([byte]));
        }
    }
    written
}

/// The text in JSON that is ASCII only, as Python writes it.
fn ascii(json: &str) -> String {
    let mut written = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            written.push(c);
        } else {
            let units = c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
            written.push_str(&units);
        }
    }
    written
}

/// The characters of a standard base64 text that depend on `text` alone, where `shift` bytes (modulo 3) come before it.
fn within_base64(text: &str, shift: usize) -> String {
    let shifted = [&[0; 2][..shift], text.as_bytes()].concat();
    let encoded = STANDARD_NO_PAD.encode(&shifted);
    let (first, end) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
    encoded[first..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_others_do() {
        // Python: quote(t, ''), JavaScript: encodeURIComponent(t), Python: quote(t), quote_plus(t); json.dumps(t, ensure_ascii=…).
        let expected = [
            "a%20b%2F%21%22%5C%C3%BC%F0%9F%98%80",
            "a%20b%2F!%22%5C%C3%BC%F0%9F%98%80",
            "a%20b/%21%22%5C%C3%BC%F0%9F%98%80",
            "a+b%2F%21%22%5C%C3%BC%F0%9F%98%80",
            "a b/!\\\"\\\\ü😀",
            "a b/!\\\"\\\\\\u00fc\\ud83d\\ude00",
        ];
        assert_eq!(escaped("a b/!\"\\ü😀"), expected);
        assert!(escaped("plain-text_0").iter().all(|form| form == "plain-text_0"));
    }
}
