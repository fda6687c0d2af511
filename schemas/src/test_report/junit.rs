//! JUnit XML, as pytest, Jest, Vitest, Maven, Gradle, go-junit-report, cargo-nextest and PHPUnit write it. There is no
//! standard: elements that all of them share are read, everything else is skipped.

mod document;
mod open_case;

use std::io::BufRead;

use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use self::document::Document;
use super::case::Case;
use super::error::{Problem, ReportError};
use super::limits::TAG_BYTES;
use super::source::Source;

pub(super) fn read(
    input: impl BufRead,
    on_case: &mut dyn FnMut(Case) -> Result<(), Problem>,
) -> Result<(), ReportError> {
    let mut source = Source::new(input);
    let begins = source.fill_buf().map(is_utf_16);
    if begins.unwrap_or(false) {
        return Err(source.error(Problem::Encoding { found: "UTF-16" }));
    }
    let mut reader = Reader::from_reader(source);
    reader.config_mut().expand_empty_elements = true;
    let (mut document, mut buffer) = (Document::default(), Vec::new());
    loop {
        buffer.clear();
        buffer.shrink_to(TAG_BYTES);
        reader.get_mut().next_piece();
        let step = match reader.read_event_into(&mut buffer) {
            Ok(Event::Eof) => break,
            Ok(event) => document.event(&event, on_case),
            Err(error) => Err(problem(&error)),
        };
        step.map_err(|problem| reader.get_ref().error(problem))?;
    }
    reader.get_ref().finish()?;
    document.finish().map_err(|problem| reader.get_ref().error(problem))
}

/// Recognizes UTF-16 by its byte order mark, or by a `<` of two bytes.
fn is_utf_16(begins: &[u8]) -> bool {
    matches!(begins, [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, b'<', ..] | [b'<', 0, ..])
}

/// The parser's own message would quote the report.
fn problem(error: &Error) -> Problem {
    match error {
        Error::Io(_) => Problem::Unreadable,
        Error::Encoding(_) => Problem::Encoding { found: "something else" },
        Error::Escape(_) => Problem::Entity,
        Error::Syntax(SyntaxError::UnclosedDoctype) => Problem::DocumentType,
        Error::Syntax(SyntaxError::InvalidBangMarkup) => Problem::NotWellFormed { fault: "unknown markup after `<!`" },
        // All other syntax errors are about a missing end.
        Error::Syntax(_) => Problem::EndsEarly,
        Error::IllFormed(IllFormedError::MismatchedEndTag { .. } | IllFormedError::UnmatchedEndTag(_)) => {
            Problem::NotWellFormed { fault: "an end tag that closes nothing" }
        }
        Error::IllFormed(IllFormedError::UnclosedReference) => Problem::NotWellFormed { fault: "a lone `&`" },
        Error::IllFormed(IllFormedError::MissingDoctypeName) => Problem::DocumentType,
        Error::InvalidAttr(_) => Problem::NotWellFormed { fault: "an attribute that is none, or is there twice" },
        _ => Problem::NotWellFormed { fault: "the XML declaration or a name" },
    }
}
