//! The columns of a table as documentation, for `docs/reference/tables.md`.

use std::fmt::Write as _;

use super::table::{Kind, Table};

/// A Markdown table of the columns.
pub fn columns(table: &Table) -> String {
    let mut text =
        format!("{} Key: `{}`.\n\n| column | type | meaning |\n|---|---|---|\n", table.meaning, table.key.join("`, `"));
    for column in table.columns {
        let kind = match column.kind {
            Kind::Text => "text",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::Time => "time",
        };
        let nullable = if column.required { "" } else { "?" };
        let _ = writeln!(text, "| `{}` | {kind}{nullable} | {} |", column.name, column.meaning);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::columns;
    use crate::lake::TABLES;

    #[test]
    fn the_document_says_what_the_code_says() {
        let document = include_str!("../../../docs/reference/tables.md");
        let expected = TABLES.map(|table| format!("### `{}`\n\n{}", table.name, columns(table)));
        let missing: Vec<&String> = expected.iter().filter(|section| !document.contains(section.as_str())).collect();
        for section in &missing {
            println!("{section}");
        }
        assert!(missing.is_empty(), "docs/reference/tables.md should have the sections above");
    }
}
