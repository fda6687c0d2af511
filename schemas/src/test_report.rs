//! Test reports that runs leave behind, JUnit XML and CTRF JSON, read case by case: only the current case is kept, and
//! a report that is larger, deeper or stranger than a report needs to be is refused.

mod case;
mod counts;
mod ctrf;
mod detect;
mod error;
mod junit;
mod limits;
mod source;
mod text;

use std::io::BufRead;

pub use case::{Case, CaseStatus, ReportFormat};
pub use counts::{TestCounts, TestReport, TestSummary};
pub use detect::{HEAD_BYTES, detect};
pub use error::{Problem, ReportError};

/// Passes every test case to `on_case`, in the order of the report, and returns the counts.
///
/// After an error, discard the cases passed so far: they may be part of a report, or no report at all. An error never
/// quotes the report, so that it can be shown where the report itself may not.
pub fn read(
    format: ReportFormat,
    input: impl BufRead,
    mut on_case: impl FnMut(Case),
) -> Result<TestCounts, ReportError> {
    let mut counts = TestCounts::default();
    let mut on_case = |case: Case| {
        counts.add(&case);
        on_case(case);
        if counts.total > limits::CASES { Err(Problem::TooManyCases { limit: limits::CASES }) } else { Ok(()) }
    };
    match format {
        ReportFormat::Junit => junit::read(input, &mut on_case)?,
        ReportFormat::Ctrf => ctrf::read(input, &mut on_case)?,
    }
    Ok(counts)
}
