//! Position of the parser in a JUnit report, and the test case that is being assembled.

use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::open_case::{OpenCase, Weight};
use super::problem;
use crate::test_report::case::Case;
use crate::test_report::error::Problem;
use crate::test_report::limits::{ATTRIBUTES, DEPTH, ELEMENT_NAME_BYTES, TAG_BYTES};
use crate::test_report::text::{self, Message};

#[derive(Debug, Default)]
pub(super) struct Document {
    /// Open elements, from the root on.
    open: Vec<Element>,
    /// Number of open elements within the innermost one that are ignored.
    ignored: usize,
    suites: Vec<Suite>,
    case: Option<OpenCase>,
    root_seen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Suites,
    Suite,
    Case,
    /// Reason why the case did not pass, or did not pass at once.
    Reason,
}

#[derive(Debug, Default)]
struct Suite {
    name: Option<String>,
    file: Option<String>,
}

impl Document {
    pub(super) fn event(
        &mut self,
        event: &Event<'_>,
        on_case: &mut dyn FnMut(Case) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(_) => self.end(on_case),
            Event::Text(text) => self.text(text),
            Event::CData(text) => self.text(text),
            Event::GeneralRef(reference) => self.text(resolve(reference)?.encode_utf8(&mut [0; 4])),
            Event::Decl(declaration) => match declaration.encoding() {
                None => Ok(()),
                Some(Ok(name))
                    if ["utf-8", "utf8", "us-ascii"].iter().any(|known| name.eq_ignore_ascii_case(known)) =>
                {
                    Ok(())
                }
                Some(_) => Err(Problem::Encoding { found: "the declaration of another encoding" }),
            },
            Event::DocType(_) => Err(Problem::DocumentType),
            // With empty elements expanded there is no `Empty`.
            Event::Comment(_) | Event::PI(_) | Event::Eof | Event::Empty(_) => Ok(()),
        }
    }

    pub(super) fn finish(self) -> Result<(), Problem> {
        match (self.root_seen, self.open.is_empty()) {
            (true, true) => Ok(()),
            _ => Err(Problem::EndsEarly),
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), Problem> {
        if tag.len() > TAG_BYTES {
            return Err(Problem::TooLong { what: "a tag", limit: TAG_BYTES });
        }
        if tag.name().as_ref().len() > ELEMENT_NAME_BYTES {
            return Err(Problem::TooLong { what: "the name of an element", limit: ELEMENT_NAME_BYTES });
        }
        if self.open.len() + self.ignored >= DEPTH {
            return Err(Problem::TooDeep { limit: DEPTH });
        }
        if self.ignored > 0 {
            self.ignored += 1;
            return Ok(());
        }
        let name = tag.local_name();
        let element = match (self.open.last(), name.as_ref()) {
            (None, _) if self.root_seen => return Err(Problem::NotWellFormed { fault: "a second root element" }),
            (None | Some(Element::Suites), "testsuites") => Element::Suites,
            (None | Some(Element::Suites | Element::Suite), "testsuite") => self.suite(tag)?,
            (None, _) => {
                return Err(Problem::Unexpected { expected: "testsuites or testsuite as the root element" });
            }
            (Some(Element::Suites | Element::Suite), "testcase") => self.testcase(tag)?,
            (Some(Element::Case | Element::Reason), "testcase" | "testsuite" | "testsuites") => {
                return Err(Problem::Unexpected { expected: "no test cases or suites within a test case" });
            }
            (Some(Element::Case), word) if let Some(weight) = Weight::of_element(word) => self.reason(tag, weight)?,
            _ => {
                self.ignored = 1;
                return Ok(());
            }
        };
        self.root_seen = true;
        self.open.push(element);
        Ok(())
    }

    fn suite(&mut self, tag: &BytesStart<'_>) -> Result<Element, Problem> {
        let mut suite = Suite::default();
        attributes(tag, |name, value| match name {
            "name" => suite.name = Some(text::name(value)),
            "file" => suite.file = Some(text::name(value)),
            _ => {}
        })?;
        self.suites.push(suite);
        Ok(Element::Suite)
    }

    fn testcase(&mut self, tag: &BytesStart<'_>) -> Result<Element, Problem> {
        let suite = self.suites.last();
        let mut case = OpenCase::new(suite.and_then(|suite| suite.name.clone()), suite.and_then(|s| s.file.clone()));
        attributes(tag, |name, value| case.attribute(name, value))?;
        self.case = Some(case);
        Ok(Element::Case)
    }

    fn reason(&mut self, tag: &BytesStart<'_>, weight: Weight) -> Result<Element, Problem> {
        let mut message = None;
        attributes(tag, |name, value| {
            if name == "message" {
                message = Some(Message::of(value));
            }
        })?;
        if let Some(case) = &mut self.case {
            case.open_reason(weight, message.unwrap_or_default());
        }
        Ok(Element::Reason)
    }

    fn text(&mut self, text: &str) -> Result<(), Problem> {
        if self.open.is_empty() && !text.trim().is_empty() {
            return Err(Problem::NotWellFormed { fault: "text outside of the root element" });
        }
        if let (0, Some(case)) = (self.ignored, &mut self.case) {
            case.text(text);
        }
        Ok(())
    }

    fn end(&mut self, on_case: &mut dyn FnMut(Case) -> Result<(), Problem>) -> Result<(), Problem> {
        if self.ignored > 0 {
            self.ignored -= 1;
            return Ok(());
        }
        match self.open.pop() {
            Some(Element::Suite) => {
                self.suites.pop();
            }
            Some(Element::Reason) => {
                if let Some(case) = &mut self.case {
                    case.close_reason();
                }
            }
            Some(Element::Case) => {
                if let Some(case) = self.case.take() {
                    on_case(case.finish())?;
                }
            }
            Some(Element::Suites) | None => {}
        }
        Ok(())
    }
}

fn attributes(tag: &BytesStart<'_>, mut each: impl FnMut(&str, &str)) -> Result<(), Problem> {
    for (count, attribute) in tag.attributes().enumerate() {
        if count >= ATTRIBUTES {
            return Err(Problem::TooManyAttributes { limit: ATTRIBUTES });
        }
        let attribute = attribute.map_err(|error| problem(&error.into()))?;
        let value = unescape(&attribute.value).map_err(|_| Problem::Entity)?;
        each(attribute.key.as_ref(), &value);
    }
    Ok(())
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, Problem> {
    let character = match reference.resolve_char_ref() {
        Ok(None) => resolve_predefined_entity(reference).and_then(|text| text.chars().next()),
        Ok(character) => character,
        Err(_) => None,
    };
    character.ok_or(Problem::Entity)
}
