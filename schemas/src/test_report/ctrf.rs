//! CTRF JSON (<https://ctrf.io>), one test after the other. Members that are not about a test are skipped unread.

mod guard;
mod record;

use std::fmt;
use std::io::{BufRead, BufReader};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use self::guard::Guard;
use self::record::{Name, Record};
use super::case::Case;
use super::error::{Problem, ReportError};

pub(super) fn read(
    input: impl BufRead,
    on_case: &mut dyn FnMut(Case) -> Result<(), Problem>,
) -> Result<(), ReportError> {
    let mut guard = Guard::new(input);
    let mut tests = Tests { on_case, problem: None };
    let read = {
        // Reading byte by byte is fast only with a BufReader.
        let mut json = serde_json::Deserializer::from_reader(BufReader::new(&mut guard));
        Report { tests: &mut tests }.deserialize(&mut json).and_then(|()| json.end())
    };
    let Err(error) = read else { return Ok(()) };
    if let Some(refused) = guard.refused() {
        return Err(refused);
    }
    let line = u64::try_from(error.line()).unwrap_or(u64::MAX).max(1);
    // The parser's own message would quote the report.
    let problem = tests.problem.unwrap_or(match error.classify() {
        Category::Io => Problem::Unreadable,
        Category::Syntax => Problem::NotWellFormed { fault: "no JSON" },
        Category::Eof => Problem::EndsEarly,
        Category::Data => Problem::Unexpected { expected: "CTRF: results.tests, each with its name and status" },
    });
    Err(ReportError { line, problem })
}

/// The document.
struct Report<'a, 'b> {
    tests: &'a mut Tests<'b>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ReportKey {
    ReportFormat,
    Results,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for Report<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Report<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CTRF report")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = false;
        while let Some(key) = map.next_key()? {
            match key {
                ReportKey::ReportFormat => {
                    if map.next_value::<Name>()?.0 != "CTRF" {
                        return Err(A::Error::custom("another format"));
                    }
                }
                ReportKey::Results if seen => return Err(A::Error::duplicate_field("results")),
                ReportKey::Results => {
                    map.next_value_seed(Results { tests: self.tests })?;
                    seen = true;
                }
                ReportKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if seen { Ok(()) } else { Err(A::Error::missing_field("results")) }
    }
}

/// Member `results` of the document.
struct Results<'a, 'b> {
    tests: &'a mut Tests<'b>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ResultsKey {
    Tests,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for Results<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Results<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("results")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = false;
        while let Some(key) = map.next_key()? {
            match key {
                ResultsKey::Tests if seen => return Err(A::Error::duplicate_field("tests")),
                ResultsKey::Tests => {
                    map.next_value_seed(&mut *self.tests)?;
                    seen = true;
                }
                ResultsKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if seen { Ok(()) } else { Err(A::Error::missing_field("tests")) }
    }
}

/// Member `tests` of `results`.
struct Tests<'b> {
    on_case: &'b mut dyn FnMut(Case) -> Result<(), Problem>,
    /// Error that `on_case` returned for a case.
    problem: Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for &mut Tests<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Tests<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut tests: A) -> Result<(), A::Error> {
        while let Some(record) = tests.next_element::<Record>()? {
            if let Err(problem) = (self.on_case)(record.into()) {
                self.problem = Some(problem);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
