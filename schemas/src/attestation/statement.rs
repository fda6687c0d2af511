//! in-toto Statement v1 (github.com/in-toto/attestation): a predicate, and the subjects that it is about.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// A statement with more subjects is refused.
pub const MAX_SUBJECTS: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement<P> {
    #[serde(rename = "_type")]
    pub kind: String,
    pub subject: Vec<Subject>,
    pub predicate_type: String,
    pub predicate: P,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Key of the object in the bucket.
    pub name: String,
    pub digest: Digests,
}

/// Algorithm to lower-case hexadecimal digits.
pub type Digests = BTreeMap<String, String>;

impl Subject {
    pub fn new(name: &str, sha256: &str) -> Self {
        Self { name: name.to_owned(), digest: sha256_digest(sha256) }
    }

    pub fn sha256(&self) -> Option<&str> {
        self.digest.get("sha256").map(String::as_str)
    }
}

pub fn sha256_digest(hex: &str) -> Digests {
    BTreeMap::from([("sha256".to_owned(), hex.to_owned())])
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    #[error("expected an in-toto statement with the predicate {expected}: {detail}")]
    Malformed { expected: &'static str, detail: String },
    #[error("expected the statement type `{STATEMENT_TYPE}`, got `{0}`")]
    Type(String),
    #[error("expected the predicate type `{expected}`, got `{got}`")]
    Predicate { expected: &'static str, got: String },
    #[error("expected at most {MAX_SUBJECTS} subjects, got {0}")]
    Subjects(usize),
}

impl<P> Statement<P> {
    pub fn new(predicate_type: &str, subject: Vec<Subject>, predicate: P) -> Self {
        Self { kind: STATEMENT_TYPE.to_owned(), subject, predicate_type: predicate_type.to_owned(), predicate }
    }
}

impl<P: serde::de::DeserializeOwned> Statement<P> {
    /// Parses a verified payload.
    pub fn parse(payload: &[u8], expected: &'static str) -> Result<Self, StatementError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "_type")]
            kind: String,
            #[serde(rename = "predicateType")]
            predicate_type: String,
        }
        let malformed = |error: serde_json::Error| StatementError::Malformed { expected, detail: error.to_string() };
        let short = |text: String| text.chars().take(200).collect::<String>();
        let head: Head = serde_json::from_slice(payload).map_err(malformed)?;
        if head.kind != STATEMENT_TYPE {
            return Err(StatementError::Type(short(head.kind)));
        }
        if head.predicate_type != expected {
            return Err(StatementError::Predicate { expected, got: short(head.predicate_type) });
        }
        let statement: Self = serde_json::from_slice(payload).map_err(malformed)?;
        if statement.subject.len() > MAX_SUBJECTS {
            return Err(StatementError::Subjects(statement.subject.len()));
        }
        Ok(statement)
    }
}
