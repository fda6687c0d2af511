//! Detection of test reports among artifacts, by name and by beginning.

use super::case::ReportFormat;

/// Bytes of a file that suffice to decide.
pub const HEAD_BYTES: usize = 4096;

/// Guesses the format from the name and from `head`, the beginning of the file, of which at most [`HEAD_BYTES`] are
/// looked at. Only reading the file tells whether it is a report.
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

/// True if the root element is `testsuites` or `testsuite`, or a document type has this name; the reader will refuse
/// the latter.
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
    // A name that was cut off does not count.
    matches!(name, Some(b"testsuites" | b"testsuite")) && root.len() > b"testsuites".len()
}

/// True if the document names its format, or begins like reports from before that was required.
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
