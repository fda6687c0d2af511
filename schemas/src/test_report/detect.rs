//! Which artifacts are test reports, if nobody said so: by name and by how they begin.

use super::case::ReportFormat;

/// As much of a file as decides.
pub const HEAD_BYTES: usize = 4096;

/// `head` is the beginning of the file; no more than [`HEAD_BYTES`] of it are looked at. What is found is meant to be a
/// report; whether it is one, only reading it tells.
pub fn detect(name: &str, head: &[u8]) -> Option<ReportFormat> {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let (_, extension) = name.rsplit_once('.')?;
    if extension.eq_ignore_ascii_case("xml") {
        is_junit(head).then_some(ReportFormat::Junit)
    } else if extension.eq_ignore_ascii_case("json") {
        is_ctrf(head).then_some(ReportFormat::Ctrf)
    } else {
        None
    }
}

/// The root element is `testsuites` or `testsuite`. With a document type of this name it is one that will be refused.
fn is_junit(head: &[u8]) -> bool {
    let mut rest = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    loop {
        let end: &[u8] = match rest {
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            _ => break,
        };
        let Some(at) = rest.windows(end.len()).position(|window| window == end) else { return false };
        rest = rest[at + end.len()..].trim_ascii_start();
    }
    let Some(root) = rest.strip_prefix(b"<!DOCTYPE").map(<[u8]>::trim_ascii_start).or(rest.strip_prefix(b"<")) else {
        return false;
    };
    let name = root.split(|byte| byte.is_ascii_whitespace() || b">/[".contains(byte)).next();
    // A name that was cut off is not known.
    matches!(name, Some(b"testsuites" | b"testsuite")) && root.len() > b"testsuites".len()
}

/// It says so, or begins as reports did before they had to.
fn is_ctrf(head: &[u8]) -> bool {
    let compact: Vec<u8> = head.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let says_so = br#""reportFormat":"CTRF""#;
    compact.starts_with(b"{")
        && (compact.starts_with(br#"{"results":{"tool":{"name":"#)
            || compact.windows(says_so.len()).any(|window| window == says_so))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_by_name_and_beginning() {
        let (junit, ctrf) = (Some(ReportFormat::Junit), Some(ReportFormat::Ctrf));
        for (name, head, expected) in [
            ("junit.xml", "<testsuites>", junit),
            ("J.XML", "\u{feff}<?xml version=\"1.0\"?>\n<!-- a > b -->\n<testsuite name='a'/>", junit),
            ("a.xml", "<!DOCTYPE testsuites [<!ENTITY a 'b'>]><testsuites/>", junit),
            ("a.xml", "<testsuitesx>", None),
            ("a.xml", "<project/>", None),
            ("a.xml", "<!-- <testsuites> ", None),
            ("a.xml", "<!DOCTYPE html><testsuites/>", None),
            ("a.xml", "", None),
            ("junit.txt", "<testsuites>", None),
            ("xml", "<testsuites>", None),
            ("ctrf.json", "{\n  \"reportFormat\": \"CTRF\",\n", ctrf),
            ("a.json", "{\"results\" : { \"tool\": {\n\"name\": \"jest\"", ctrf),
            ("a.json", "{\"results\":{\"tool\":{\"driver\":{", None),
            ("a.json", "{\"results\":[]}", None),
            ("a.json", "[{\"reportFormat\":\"CTRF\"}]", None),
            ("a.xml", "{\"reportFormat\":\"CTRF\"", None),
        ] {
            assert_eq!(detect(name, head.as_bytes()), expected, "{name} {head}");
        }
    }
}
