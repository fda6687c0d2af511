//! One test of a CTRF report, as it is written.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::test_report::case::{Case, CaseStatus};
use crate::test_report::text::{self, Message};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    name: Name,
    status: Status,
    /// Milliseconds. Integers by the standard, fractions in the wild.
    duration: Option<f64>,
    suite: Option<Suite>,
    #[serde(alias = "filepath")]
    file_path: Option<Name>,
    message: Option<RecordMessage>,
    flaky: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Passed,
    Failed,
    Skipped,
    Pending,
    Other,
}

pub(super) struct Name(pub String);

/// Suites, outermost first; a single text in reports from before version 0.0.5.
struct Suite(String);

struct RecordMessage(Message);

impl From<Record> for Case {
    fn from(record: Record) -> Self {
        let status = match record.status {
            Status::Passed => CaseStatus::Passed,
            Status::Failed => CaseStatus::Failed,
            Status::Skipped | Status::Pending | Status::Other => CaseStatus::Skipped,
        };
        let RecordMessage(message) = record.message.unwrap_or(RecordMessage(Message::default()));
        Self {
            suite: record.suite.map(|Suite(names)| names),
            class_name: None,
            file: record.file_path.map(|Name(path)| path),
            name: record.name.0,
            status,
            flaky: record.flaky == Some(true) && status == CaseStatus::Passed,
            duration_ms: record.duration.and_then(|ms| text::millis(ms / 1000.0)),
            message: (!message.text.is_empty()).then_some(message.text),
            message_truncated: message.truncated,
        }
    }
}

/// Visitor that converts a text without keeping all of it.
struct Texts<T> {
    of_text: fn(&str) -> T,
    of_list: Option<fn(&[String]) -> T>,
}

impl<'de, T> Visitor<'de> for Texts<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        Ok((self.of_text)(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let Some(of_list) = self.of_list else { return Err(serde::de::Error::custom("a list")) };
        let (mut names, mut bytes) = (Vec::new(), 0);
        while let Some(Name(name)) = list.next_element()? {
            // Collect no more than is kept in the end.
            if bytes <= crate::test_report::limits::NAME_BYTES {
                bytes += name.len() + 1;
                names.push(name);
            }
        }
        Ok(of_list(&names))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Texts { of_text: |text| Self(text::name(text)), of_list: None })
    }
}

impl<'de> Deserialize<'de> for RecordMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Texts { of_text: |text| Self(Message::of(text)), of_list: None })
    }
}

impl<'de> Deserialize<'de> for Suite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let of_list = |names: &[String]| Self(text::name(&names.join(" > ")));
        deserializer.deserialize_any(Texts { of_text: |text| Self(text::name(text)), of_list: Some(of_list) })
    }
}
