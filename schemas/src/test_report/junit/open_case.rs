//! One test case of a JUnit report while it is read: it has passed until an element in it says otherwise.

use crate::test_report::case::{Case, CaseStatus};
use crate::test_report::text::{self, Message};

#[derive(Debug)]
pub(super) struct OpenCase {
    case: Case,
    /// Message of the reason that decided the status.
    message: Message,
    reason: Option<Reason>,
    failed_before: bool,
}

/// Reason why a case did not pass, or did not pass at once.
#[derive(Debug)]
struct Reason {
    weight: Weight,
    attribute: Message,
    text: Message,
}

/// Effect of a reason on its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// An execution failed, but it was not the one that counts.
    OtherExecution,
    Status(CaseStatus),
}

impl Weight {
    pub(super) fn of_element(name: &str) -> Option<Self> {
        match name {
            "failure" => Some(Self::Status(CaseStatus::Failed)),
            "error" => Some(Self::Status(CaseStatus::Error)),
            "skipped" => Some(Self::Status(CaseStatus::Skipped)),
            "flakyFailure" | "flakyError" | "rerunFailure" | "rerunError" => Some(Self::OtherExecution),
            _ => None,
        }
    }
}

impl OpenCase {
    pub(super) fn new(suite: Option<String>, file: Option<String>) -> Self {
        let case = Case {
            suite,
            class_name: None,
            file,
            name: String::new(),
            status: CaseStatus::Passed,
            flaky: false,
            duration_ms: None,
            message: None,
            message_truncated: false,
        };
        Self { case, message: Message::default(), reason: None, failed_before: false }
    }

    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        let case = &mut self.case;
        match name {
            "name" => case.name = text::name(value),
            "classname" => case.class_name = Some(text::name(value)),
            "file" => case.file = Some(text::name(value)),
            "time" => case.duration_ms = text::millis_of_seconds(value),
            // GoogleTest has no element for a test that it did not run.
            "status" if matches!(value, "notrun" | "disabled" | "skipped") => case.status = CaseStatus::Skipped,
            _ => {}
        }
    }

    pub(super) fn open_reason(&mut self, weight: Weight, attribute: Message) {
        self.reason = Some(Reason { weight, attribute, text: Message::default() });
    }

    /// Adds to the text of the open reason; other text is ignored.
    pub(super) fn text(&mut self, text: &str) {
        if let Some(reason) = &mut self.reason {
            reason.text.push(text);
        }
    }

    /// The worst of several reasons counts, and of equal ones the first.
    pub(super) fn close_reason(&mut self) {
        let Some(Reason { weight, attribute, text }) = self.reason.take() else { return };
        match weight {
            Weight::OtherExecution => self.failed_before = true,
            Weight::Status(status) if gravity(status) > gravity(self.case.status) => {
                self.case.status = status;
                self.message = if attribute.text.is_empty() { text } else { attribute };
            }
            Weight::Status(_) => {}
        }
    }

    pub(super) fn finish(self) -> Case {
        let Self { case, message, failed_before, .. } = self;
        Case {
            flaky: failed_before && case.status == CaseStatus::Passed,
            message: (!message.text.is_empty()).then_some(message.text),
            message_truncated: message.truncated,
            ..case
        }
    }
}

fn gravity(status: CaseStatus) -> u8 {
    match status {
        CaseStatus::Passed => 0,
        CaseStatus::Skipped => 1,
        CaseStatus::Failed => 2,
        CaseStatus::Error => 3,
    }
}
