//! Reasons why a report cannot be read. No message quotes the report, which may hold secrets.

/// A problem of a report, and its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ReportError {
    /// Line at which the reader stood, from 1; the cause may be a little earlier.
    pub line: u64,
    pub problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("expected {expected}")]
    Unexpected { expected: &'static str },
    #[error("not well-formed: {fault}")]
    NotWellFormed { fault: &'static str },
    #[error("the report ends before it is complete")]
    EndsEarly,
    #[error("expected UTF-8, got {found}")]
    Encoding { found: &'static str },
    #[error("a NUL byte")]
    Nul,
    #[error("a document type (DOCTYPE) is not allowed in a report")]
    DocumentType,
    #[error("only character references and the entities lt, gt, amp, quot and apos are allowed")]
    Entity,
    #[error("the report has more than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("{what} has more than {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
    #[error("more than {limit} levels within each other")]
    TooDeep { limit: usize },
    #[error("an element has more than {limit} attributes")]
    TooManyAttributes { limit: usize },
    #[error("the report has more than {limit} test cases")]
    TooManyCases { limit: u64 },
    #[error("the report could not be read")]
    Unreadable,
}
