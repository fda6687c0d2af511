//! Arguments made of two parts: `KEY=VALUE`, and the `PATH[=NAME]` of an artifact.

use schemas::artifact::ArtifactRequest;
use schemas::test_report::ReportFormat;

/// `KEY=VALUE`; the value may be empty and may contain `=`.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as branch=main".to_owned()),
    }
}

/// `PATH[=NAME]`. The last `=` counts, so that a path with `=` can be given by adding a name.
pub(crate) fn parse_artifact(text: &str) -> Result<ArtifactRequest, String> {
    let (path, name) = match text.rsplit_once('=') {
        Some((path, name)) => (path, Some(name)),
        None => (text, None),
    };
    if path.is_empty() || name == Some("") {
        return Err("expected PATH or PATH=NAME, such as reports/junit.xml=junit.xml".to_owned());
    }
    Ok(ArtifactRequest { path: path.to_owned(), name: name.map(str::to_owned), report: None })
}

/// A requested test report in JUnit XML.
pub(crate) fn parse_junit(text: &str) -> Result<ArtifactRequest, String> {
    Ok(ArtifactRequest { report: Some(ReportFormat::Junit), ..parse_artifact(text)? })
}

/// A requested test report in CTRF JSON.
pub(crate) fn parse_ctrf(text: &str) -> Result<ArtifactRequest, String> {
    Ok(ArtifactRequest { report: Some(ReportFormat::Ctrf), ..parse_artifact(text)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_pair("a=b"), pair("a", "b"));
        assert_eq!(parse_pair("a=b=c"), pair("a", "b=c"));
        assert_eq!(parse_pair("a="), pair("a", ""));
        assert!(parse_pair("a").is_err());
        assert!(parse_pair("=b").is_err());
    }

    #[test]
    fn artifacts() {
        let check = |text, path: &str, name: Option<&str>| {
            let expected = ArtifactRequest { path: path.to_owned(), name: name.map(str::to_owned), report: None };
            assert_eq!(parse_artifact(text), Ok(expected));
        };
        check("out/a.txt", "out/a.txt", None);
        check("out/a.txt=b.txt", "out/a.txt", Some("b.txt"));
        check("a=b=c", "a=b", Some("c"));
        for text in ["", "=", "a=", "=b"] {
            assert!(parse_artifact(text).is_err(), "{text:?}");
        }
    }
}
