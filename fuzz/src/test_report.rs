//! Test reports that a run left.
use std::io::BufReader;

use schemas::test_report::{CaseStatus, ReportFormat, TestCounts, detect, read};

pub(crate) fn junit(bytes: &[u8]) -> bool {
    let _ = detect("report.xml", bytes);
    report(ReportFormat::Junit, bytes)
}

pub(crate) fn ctrf(bytes: &[u8]) -> bool {
    let _ = detect("report.json", bytes);
    report(ReportFormat::Ctrf, bytes)
}

/// Counts match the cases, texts are short and plain, and it does not matter how the bytes arrive.
fn report(format: ReportFormat, bytes: &[u8]) -> bool {
    let (mut told, mut cases) = (TestCounts::default(), Vec::new());
    let counts = read(format, bytes, |case| {
        let texts = [Some(&case.name), case.suite.as_ref(), case.class_name.as_ref(), case.file.as_ref()];
        for text in texts.into_iter().flatten() {
            assert!(text.len() <= 1024 && !text.chars().any(char::is_control), "{text:?}");
        }
        assert!(
            case.message.as_ref().is_none_or(|text| !text.is_empty() && text.len() <= 4096 && !text.contains('\0'))
        );
        assert!(!case.flaky || case.status == CaseStatus::Passed);
        told.total += 1;
        cases.push(case);
    });
    let mut again = Vec::new();
    let counts_again = read(format, BufReader::with_capacity(5, bytes), |case| again.push(case));
    assert_eq!(counts.as_ref().ok(), counts_again.as_ref().ok());
    let Ok(counts) = counts else { return false };
    assert_eq!(cases, again, "pieces make a difference");
    assert_eq!(counts.total, told.total);
    assert_eq!(counts.total, counts.passed + counts.failed + counts.errors + counts.skipped);
    assert!(counts.flaky <= counts.passed && counts.duration_ms < 1 << 53);
    true
}
