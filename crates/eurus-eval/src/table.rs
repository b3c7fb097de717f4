//! A table of text that a report and a terminal can both show.

use serde::{Deserialize, Serialize};

/// A table with a caption above and notes below.
///
/// Cells are plain text; numbers are formatted by whoever made the table. Columns whose cells are
/// all numbers are aligned right. Rows may be shorter or longer than the header: what is missing
/// is left blank.
///
/// ```
/// use eurus_eval::Table;
///
/// let table = Table::new("Held-out pass@1")
///     .headers(["Model", "pass@1"])
///     .row(["SFT", "41.5 ± 3.5 %"])
///     .row(["KTO", "52.0 ± 3.5 %"])
///     .note("200 problems, greedy.");
/// assert!(eurus_eval::terminal::render(&table).contains("KTO"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The caption, without a number; the report numbers it.
    pub caption: String,
    /// Names of the columns.
    pub headers: Vec<String>,
    /// The body, row by row.
    pub rows: Vec<Vec<String>>,
    /// Remarks printed below.
    pub notes: Vec<String>,
}

impl Table {
    /// An empty table.
    pub fn new(caption: impl Into<String>) -> Self {
        Self {
            caption: caption.into(),
            ..Self::default()
        }
    }

    /// Sets the names of the columns.
    #[must_use]
    pub fn headers<S: Into<String>>(mut self, headers: impl IntoIterator<Item = S>) -> Self {
        self.headers = headers.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a row.
    #[must_use]
    pub fn row<S: Into<String>>(mut self, cells: impl IntoIterator<Item = S>) -> Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Number of columns: the widest of header and rows.
    pub fn width(&self) -> usize {
        self.rows
            .iter()
            .map(Vec::len)
            .chain([self.headers.len()])
            .max()
            .unwrap_or(0)
    }

    /// Whether the cells of a column are all numbers (with units, signs or standard errors) or blank.
    ///
    /// The first column names the rows and is never numeric.
    pub fn is_numeric(&self, column: usize) -> bool {
        if column == 0 {
            return false;
        }
        let cells = || {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.trim())
        };
        cells().any(starts_as_number)
            && cells().all(|cell| matches!(cell, "" | "–" | "-") || starts_as_number(cell))
    }

    /// The cells of a row, as many as the table is wide.
    pub(crate) fn padded<'a>(&self, cells: &'a [String]) -> Vec<&'a str> {
        (0..self.width())
            .map(|column| cells.get(column).map_or("", String::as_str))
            .collect()
    }
}

fn starts_as_number(cell: &str) -> bool {
    let unsigned = cell.trim_start_matches(['+', '-', '−', '±', '<', '>', '$', '.', ' ']);
    unsigned.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_are_found_and_the_first_never_is_one() {
        let table = Table::new("t")
            .headers(["n", "score", "text", "gap"])
            .row(["1", "41.5 ± 3.5 %", "3 of 4", "–"])
            .row(["2", "−0.2", "none", "–"]);
        let numeric: Vec<bool> = (0..5).map(|column| table.is_numeric(column)).collect();
        assert_eq!(numeric, [false, true, false, false, false]);
    }

    #[test]
    fn ragged_rows_are_padded_to_the_widest() {
        let table = Table::new("t")
            .headers(["a"])
            .row(["1", "2", "3"])
            .row(["4"]);
        assert_eq!(table.width(), 3);
        assert_eq!(table.padded(&table.rows[1]), ["4", "", ""]);
        assert_eq!(Table::default().width(), 0);
    }
}
