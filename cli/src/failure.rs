//! Errors in one shape for people and programs, whether they are local or come from the API.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(Box<Failure>),
    /// The reader of standard output is gone.
    BrokenPipe,
}

/// An error as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    /// Stable, for programs: the API's code, or one of ours.
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Value>>,
    /// Advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
    /// True if the same request may succeed later.
    pub retryable: bool,
    /// Status of the HTTP answer; absent if there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The pause that the server asks for.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            details: None,
            remediation: None,
            retryable: false,
            status: None,
            retry_after: None,
        }
    }

    pub(crate) fn hint(mut self, remediation: impl Into<String>) -> Self {
        self.remediation = Some(remediation.into());
        self
    }

    pub(crate) fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// A file of this machine that cannot be read or written.
    pub(crate) fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::new("file_error", format!("cannot {action} {}: {error}", path.display()))
    }

    /// An answer that does not have the shape of the contract.
    pub(crate) fn invalid_answer(message: impl Into<String>) -> Self {
        Self::new("invalid_response", message)
            .hint("Check that --api-url (or CROWNEST_API_URL) is the address of a CrowNest API, without /v1.")
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// For writing results; files have [`Failure::file`].
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Failure::new("output_error", format!("cannot write the output: {error}")).into()
    }
}
