//! Small aligned tables, one line for each row.

use std::fmt;

use super::escape;

/// Longer cells are cut: the whole value is in the record and in `--json`.
const MAX_CELL_CHARS: usize = 60;
const GAP: &str = "  ";

#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Adds a row with a cell for each heading; cells are escaped here.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| shortened(&escape::line(cell))).collect());
    }
}

fn shortened(cell: &str) -> String {
    if cell.chars().count() <= MAX_CELL_CHARS {
        return cell.to_owned();
    }
    cell.chars().take(MAX_CELL_CHARS - 1).chain(['…']).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", cells.join(GAP).trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_cells_stay_on_their_line() {
        let mut table = Table::new(&["ID", "COMMAND"]);
        table.row(&["wsr_1", "echo\n\x1b[2J"]);
        table.row(&["é", &"x".repeat(100)]);
        let expected = format!("ID     COMMAND\nwsr_1  echo\\n\\u{{1b}}[2J\né      {}…\n", "x".repeat(59));
        assert_eq!(table.to_string(), expected);
    }
}
