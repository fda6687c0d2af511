//! The answer: every check with its outcome, also those that could not be made. For people and for programs.

use schemas::id::RunId;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The subject is what was sealed.
    Verified,
    /// The subject fits everything else that is here, and nobody who was named by the verifying side vouches for it.
    Consistent,
    /// The subject is not what was sealed.
    Failed,
    /// The subject should have been looked at, and could not be.
    NotChecked,
    /// There is nothing to look at, and there need not be.
    Absent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Stable, for programs.
    pub name: &'static str,
    pub status: Status,
    /// One of several, such as the key of an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub message: String,
}

impl Check {
    fn new(name: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self { name, status, subject: None, message: message.into() }
    }

    pub(super) fn verified(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Verified, message)
    }

    pub(super) fn failed(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Failed, message)
    }

    pub(super) fn not_checked(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::NotChecked, message)
    }

    pub(super) fn absent(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Absent, message)
    }

    pub(super) fn of(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_run_id: Option<RunId>,
    /// SHA-256 of the canonical form, which is what was sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_sha256: Option<String>,
    /// Thumbprint of the key that made the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The origin of the public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_from: Option<String>,
    pub checks: Vec<Check>,
}

impl Report {
    pub(super) fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// Without a key that somebody named, all of it could have been made by anybody.
    pub(super) fn nobody_was_named(&mut self) {
        for check in self.checks.iter_mut().filter(|check| check.status == Status::Verified) {
            check.status = Status::Consistent;
        }
    }

    /// The worst of all checks.
    pub fn result(&self) -> Status {
        [Status::Failed, Status::NotChecked, Status::Consistent]
            .into_iter()
            .find(|status| self.count(*status) > 0)
            .unwrap_or(Status::Verified)
    }
}
