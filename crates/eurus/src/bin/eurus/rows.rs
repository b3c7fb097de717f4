//! What was read, and the rows that cannot be trained on: counted by reason before training, with the first of each.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufRead;
use std::path::Path;

use anyhow::{Result, bail};
use eurus::data::Error;
use eurus::data::formats::{JsonlReader, Record};
use serde::Serialize;

/// Why a row cannot be trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// A text is blank, or the response has no token that could be trained on.
    Empty,
    /// The two actions of a pair are the same, in text or in tokens.
    IdenticalPair,
    /// Fewer than two answers have a score.
    Unscored,
    /// A path or a pair has too many tokens, and such rows are to be errors.
    OverLong,
}

/// A row and what is the matter with it.
#[derive(Debug, Serialize)]
struct Problem {
    row: usize,
    problem: String,
}

/// Rows of one kind, and the first of them.
#[derive(Debug, Default, Serialize)]
struct Found {
    rows: usize,
    first: Option<Problem>,
}

impl Found {
    fn add(&mut self, row: usize, problem: impl FnOnce() -> String) {
        self.rows += 1;
        if self.first.as_ref().is_none_or(|first| row < first.row) {
            let problem = problem();
            self.first = Some(Problem { row, problem });
        }
    }

    /// `3 empty (first: row 7: ...)`, with ` of FILE` after the row if that is given; `None` if there are none.
    fn describe(&self, kind: &str, of_file: &str) -> Option<String> {
        let Problem { row, problem } = self.first.as_ref()?;
        let first = if self.rows > 1 { "first: " } else { "" };
        let count = self.rows;
        Some(format!(
            "{count} {kind} ({first}row {row}{of_file}: {problem})"
        ))
    }
}

/// The rows of one file, counted.
#[derive(Debug, Default, Serialize)]
pub struct RowReport {
    read: usize,
    empty: Found,
    identical_pairs: Found,
    unscored: Found,
    duplicates: Found,
    /// Whether these are left out. If not, the first three kinds are errors, and duplicates are used.
    dropped: bool,
    /// An error whatever is dropped; other policies for long rows count them elsewhere.
    #[serde(skip)]
    over_long: Found,
    #[serde(skip)]
    seen: HashMap<Fingerprint, usize>,
}

/// 128 bits of a row's content, so that two rows with the same are the same.
type Fingerprint = (u64, u64);

fn fingerprint(content: &impl Hash) -> Fingerprint {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        content.hash(&mut hasher);
        hasher.finish()
    };
    (half(0), half(1))
}

impl RowReport {
    /// Nothing read yet; `drop` leaves unusable rows and duplicates out.
    pub fn new(drop: bool) -> Self {
        Self {
            dropped: drop,
            ..Self::default()
        }
    }

    /// The next row of the file that is neither empty nor an identical pair.
    ///
    /// # Errors
    ///
    /// The row cannot be read.
    pub fn next<R: BufRead, T: Record>(
        &mut self,
        rows: &mut JsonlReader<R, T>,
    ) -> Result<Option<T>> {
        while let Some(row) = rows.next() {
            self.read += 1;
            let error = match row {
                Ok(row) => return Ok(Some(row)),
                Err(error) => error,
            };
            match error.fault() {
                Error::EmptyField { field } => self.add(Unusable::Empty, rows.line(), || {
                    format!("field `{field}` is empty or blank")
                }),
                Error::IdenticalPair => self.add(Unusable::IdenticalPair, rows.line(), || {
                    "field `rejected` equals field `chosen`".to_owned()
                }),
                _ => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Counts a row that is left out.
    pub fn add(&mut self, why: Unusable, row: usize, problem: impl FnOnce() -> String) {
        let found = match why {
            Unusable::Empty => &mut self.empty,
            Unusable::IdenticalPair => &mut self.identical_pairs,
            Unusable::Unscored => &mut self.unscored,
            Unusable::OverLong => &mut self.over_long,
        };
        found.add(row, problem);
    }

    /// Whether to use a row with this content: it is new, or duplicates are kept.
    pub fn is_used(&mut self, content: &impl Hash, row: usize) -> bool {
        match self.seen.insert(fingerprint(content), row) {
            None => true,
            Some(earlier) => {
                self.duplicates
                    .add(row, || format!("the same as row {earlier}"));
                !self.dropped
            }
        }
    }

    /// Refuses the file once all of it is read, if rows in it cannot be trained on and are not to be dropped.
    pub fn check(&self, file: &Path) -> Result<()> {
        let of_file = format!(" of {}", file.display());
        let mut rows = self.over_long.rows;
        let mut found = Vec::new();
        let mut advice = Vec::new();
        let droppable = self.empty.rows + self.identical_pairs.rows + self.unscored.rows;
        if !self.dropped && droppable > 0 {
            rows += droppable;
            found.extend(self.unusable(&of_file));
            advice.push(match self.unscored.rows {
                0 => "--drop-unusable leaves out rows that are empty or have identical actions",
                _ => "--drop-unusable leaves out rows that are empty or have fewer than two scored answers",
            });
        }
        if let Some(over_long) = self.over_long.describe("too long", &of_file) {
            found.push(over_long);
            advice.push("raise the limit, or let --over-long cut or drop rows that are too long");
        }
        if rows == 0 {
            return Ok(());
        }
        bail!(
            "{rows} of {} rows cannot be trained on: {}; {}",
            self.read,
            found.join(", "),
            advice.join("; ")
        )
    }

    /// Rows that were read.
    pub fn read(&self) -> usize {
        self.read
    }

    fn unusable(&self, of_file: &str) -> Vec<String> {
        let kinds = [
            self.empty.describe("empty", of_file),
            self.identical_pairs
                .describe("with identical actions", of_file),
            self.unscored
                .describe("with fewer than two scored answers", of_file),
        ];
        kinds.into_iter().flatten().collect()
    }
}

/// What was read, and what was dropped or kept of it.
impl fmt::Display for RowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows read", self.read)?;
        let duplicates = self.duplicates.describe("duplicate", "");
        if !self.dropped {
            return match duplicates {
                Some(kept) => write!(f, "; warning: {kept} are used, --drop-unusable drops them"),
                None => Ok(()),
            };
        }
        let mut dropped = self.unusable("");
        dropped.extend(duplicates);
        if dropped.is_empty() {
            return Ok(());
        }
        write!(f, "; dropped: {}", dropped.join(", "))
    }
}
