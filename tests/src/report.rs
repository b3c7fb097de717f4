//! The largest error of every check, and what failed.

use std::fmt::{self, Debug, Display};

/// Failures told in full per check; the rest are counted.
const TOLD_IN_FULL: usize = 5;

/// What a test compared, check by check.
#[derive(Debug)]
pub struct Report {
    title: String,
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Row {
    check: String,
    compared: usize,
    /// Largest error and the limit it must keep; `None` where equality is asked for.
    largest: Option<(f64, f64)>,
    failures: Vec<String>,
}

impl Report {
    /// An empty report of `title`.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn row(&mut self, check: &str) -> &mut Row {
        let index = match self.rows.iter().position(|row| row.check == check) {
            Some(index) => index,
            None => {
                self.rows.push(Row {
                    check: check.to_owned(),
                    compared: 0,
                    largest: None,
                    failures: Vec::new(),
                });
                self.rows.len() - 1
            }
        };
        &mut self.rows[index]
    }

    /// Notes an error that must not exceed `limit`; NaN fails.
    pub fn error(&mut self, check: &str, place: impl Display, error: f64, limit: f64) {
        let row = self.row(check);
        row.compared += 1;
        let error = if error.is_nan() { f64::INFINITY } else { error };
        let (largest, _) = row.largest.unwrap_or((0.0, limit));
        row.largest = Some((largest.max(error), limit));
        if error > limit {
            row.failures
                .push(format!("{place}: error {error:.2e}, limit {limit:.1e}"));
        }
    }

    /// Compares by absolute difference.
    pub fn close(&mut self, check: &str, place: impl Display, got: f64, expected: f64, limit: f64) {
        let place = format!("{place}: got {got}, expected {expected}");
        self.error(check, place, (got - expected).abs(), limit);
    }

    /// Compares lists by absolute difference, entry by entry, and by their lengths.
    pub fn all_close(
        &mut self,
        check: &str,
        place: impl Display,
        got: impl IntoIterator<Item = impl Into<f64>>,
        expected: &[f64],
        limit: f64,
    ) {
        let got: Vec<f64> = got.into_iter().map(Into::into).collect();
        if got.len() != expected.len() {
            let (got, expected) = (got.len(), expected.len());
            self.fail(
                check,
                format!("{place}: got {got} values, expected {expected}"),
            );
            return;
        }
        for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
            self.close(
                check,
                format_args!("{place}[{index}]"),
                got,
                expected,
                limit,
            );
        }
    }

    /// Compares for equality.
    pub fn same<T: PartialEq + Debug>(
        &mut self,
        check: &str,
        place: impl Display,
        got: &T,
        expected: &T,
    ) {
        self.row(check).compared += 1;
        if got != expected {
            self.fail(
                check,
                format!("{place}: got {got:?}, expected {expected:?}"),
            );
        }
    }

    /// Notes a failure.
    pub fn fail(&mut self, check: &str, what: impl Display) {
        self.row(check).failures.push(what.to_string());
    }

    /// Adds a line that is printed with the report.
    pub fn note(&mut self, note: impl Display) {
        self.notes.push(note.to_string());
    }

    /// Everything that failed, with the report's title and the check.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for row in &self.rows {
            let name = |what: &str| format!("{}, {}: {what}", self.title, row.check);
            failures.extend(
                row.failures
                    .iter()
                    .take(TOLD_IN_FULL)
                    .map(|what| name(what)),
            );
            if row.failures.len() > TOLD_IN_FULL {
                let more = row.failures.len() - TOLD_IN_FULL;
                failures.push(name(&format!("and {more} more")));
            }
        }
        failures
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for row in &self.rows {
            write!(f, "  {:<30} {:>7} compared  ", row.check, row.compared)?;
            match row.largest {
                Some((largest, limit)) => {
                    write!(f, "largest error {largest:>8.1e}  limit {limit:.1e}")?;
                }
                None if row.failures.is_empty() => write!(f, "all equal")?,
                None => write!(f, "differ")?,
            }
            match row.failures.len() {
                0 => writeln!(f)?,
                failures => writeln!(f, "  {failures} FAILED")?,
            }
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}
