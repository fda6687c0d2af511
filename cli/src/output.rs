//! Prints results, streams and errors. Everything for people is escaped: a run's command or metadata comes from strangers
//! and must not drive the terminal. Only the output of a run itself passes unchanged.

pub(crate) mod escape;
mod events;
mod progress;
mod record;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::Value;

pub(crate) use self::record::{Record, field, text_of};
pub(crate) use self::table::Table;
use crate::client::Page;
use crate::failure::{Failure, Stop};

#[derive(Debug)]
pub(crate) struct Output {
    stdout: io::Stdout,
    json: bool,
    stderr_is_terminal: bool,
}

#[derive(Serialize)]
struct Line<'a, T> {
    data: &'a T,
    #[serde(rename = "hasMore", skip_serializing_if = "Option::is_none")]
    has_more: Option<bool>,
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    error: &'a Failure,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { stdout: io::stdout(), json, stderr_is_terminal: io::stderr().is_terminal() }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A result: one line with `--json`, otherwise what `readable` makes of it.
    pub(crate) fn result(&mut self, value: &Value, readable: impl FnOnce(&Value) -> String) -> Result<(), Stop> {
        if self.json { self.json_line(value) } else { self.text(&readable(value)) }
    }

    /// `{"data":…}`, whether or not `--json` was asked for.
    pub(crate) fn json_line(&mut self, value: &Value) -> Result<(), Stop> {
        self.write_json(&Line { data: value, has_more: None, next_cursor: None })
    }

    /// A list: what continues it stands beside `data`.
    pub(crate) fn page(&mut self, page: &Page, table: impl FnOnce(&[Value]) -> Table) -> Result<(), Stop> {
        if self.json {
            let next_cursor = page.next_cursor.as_deref();
            return self.write_json(&Line { data: &page.items, has_more: Some(page.has_more), next_cursor });
        }
        self.text(&table(&page.items).to_string())?;
        if let Some(cursor) = page.next_cursor.as_ref().filter(|_| page.has_more) {
            self.note(&format!("there is more: --cursor {cursor}, or --all"));
        }
        Ok(())
    }

    /// Text of our own, already escaped.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Stop> {
        self.raw(text.as_bytes())
    }

    /// Writes bytes to standard output, immediately and unchanged.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.stdout.write_all(bytes)?;
        Ok(self.stdout.flush()?)
    }

    fn write_json(&mut self, line: &impl Serialize) -> Result<(), Stop> {
        let mut text = serde_json::to_string(line)
            .map_err(|error| Failure::new("internal_error", format!("the result cannot be written: {error}")))?;
        text = escape::json(&text);
        text.push('\n');
        self.raw(text.as_bytes())
    }

    /// Says something to a person who watches; a pipe or a log gets only the run's own standard error.
    pub(crate) fn note(&mut self, text: &str) {
        if self.stderr_is_terminal {
            self.warn(text);
        }
    }

    /// Says something important on standard error; programs find it in the JSON.
    pub(crate) fn warn(&mut self, text: &str) {
        if !self.json {
            // Nobody can be told that standard error is gone.
            let _ = writeln!(io::stderr(), "crownest: {}", escape::line(text));
        }
    }

    pub(crate) fn failure(&mut self, failure: &Failure) {
        let mut text = if self.json {
            escape::json(&serde_json::to_string(&ErrorLine { error: failure }).unwrap_or_default())
        } else {
            readable(failure)
        };
        text.push('\n');
        // There is nobody to tell if standard error is gone.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

fn readable(failure: &Failure) -> String {
    let status = failure.status.map(|status| format!(", HTTP {status}")).unwrap_or_default();
    let mut lines = vec![format!("error: {} ({}{status})", failure.message, failure.code)];
    lines.extend(failure.details.as_ref().map(|details| format!("  details: {details}")));
    lines.extend(failure.remediation.as_ref().map(|remediation| format!("  hint: {remediation}")));
    // A message of several lines, such as the end of a log, stays that; nothing in it can pass for a line of ours.
    let escaped = |line: &String| line.trim_end().split('\n').map(escape::line).collect::<Vec<_>>().join("\n    ");
    lines.iter().map(escaped).collect::<Vec<_>>().join("\n")
}
