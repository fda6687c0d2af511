//! One thing with its fields, one line for each; and how JSON values appear to people.

use std::fmt;

use serde_json::Value;

use super::escape;

/// Labels and escaped values.
#[derive(Debug, Default)]
pub(crate) struct Record {
    lines: Vec<(&'static str, String)>,
}

impl Record {
    /// Adds a field, unless there is nothing to say.
    pub(crate) fn line(&mut self, label: &'static str, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.lines.push((label, escape::line(text)));
        }
        self
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        for (label, text) in &self.lines {
            writeln!(f, "{label:width$}  {text}")?;
        }
        Ok(())
    }
}

/// A member of an object, for people; empty when it is absent.
pub(crate) fn field(object: &Value, name: &str) -> String {
    object.get(name).map(text_of).unwrap_or_default()
}

/// A value for people: lists with commas, objects as `key=value`. Not escaped yet.
pub(crate) fn text_of(value: &Value) -> String {
    let joined = |texts: Vec<String>| texts.join(", ");
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => joined(items.iter().map(text_of).collect()),
        Value::Object(members) => {
            joined(members.iter().map(|(name, value)| format!("{name}={}", text_of(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_aligned_escaped_and_left_out_when_empty() {
        let run = json!({"id": "wsr_1", "metadata": {"a": "1", "b": "\u{1b}"}, "exitCode": 0});
        let mut record = Record::default();
        record.line("id", &field(&run, "id")).line("metadata", &field(&run, "metadata"));
        record.line("exit code", &field(&run, "exitCode")).line("absent", &field(&run, "absent"));
        assert_eq!(record.to_string(), "id         wsr_1\nmetadata   a=1, b=\\u{1b}\nexit code  0\n");
    }
}
