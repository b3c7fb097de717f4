//! What was read and what became of it: rows that nothing can be learned from, and rows that are there twice.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufRead;

use anyhow::{Result, anyhow};
use eurus::data::Error;
use eurus::data::formats::{JsonlReader, Record};
use serde::Serialize;

/// Why a row is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// A text is blank, or has no token that could be trained on.
    Empty,
    /// The two actions of a pair are the same, in text or in tokens.
    Identical,
}

/// Rows of one kind.
#[derive(Debug, Default, Serialize)]
struct Found {
    rows: usize,
    /// What is the matter with the first of them, and where.
    first: Option<String>,
}

impl Found {
    fn add(&mut self, first: impl FnOnce() -> String) {
        self.rows += 1;
        self.first.get_or_insert_with(first);
    }

    /// `3 empty (row 7 ...)`; `None` if there are none.
    fn describe(&self, what: &str) -> Option<String> {
        let first = self.first.as_ref()?;
        let of_several = if self.rows > 1 { "first: " } else { "" };
        Some(format!("{} {what} ({of_several}{first})", self.rows))
    }
}

/// The rows of one file, counted.
#[derive(Debug, Serialize)]
pub struct RowReport {
    read: usize,
    empty: Found,
    identical: Found,
    duplicates: Found,
    /// Whether such rows are left out. If not, the first two kinds are errors, and duplicates are used.
    dropped: bool,
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
    /// Nothing read yet; `drop` leaves out what is of no use.
    pub fn new(drop: bool) -> Self {
        Self {
            read: 0,
            empty: Found::default(),
            identical: Found::default(),
            duplicates: Found::default(),
            dropped: drop,
            seen: HashMap::new(),
        }
    }

    /// The next row of the file that can be used.
    ///
    /// # Errors
    ///
    /// The row cannot be read; or it is of no use, and such rows are not dropped.
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
            let (why, problem) = match error.fault() {
                Error::EmptyField { field } => {
                    (Unusable::Empty, format!("field `{field}` is blank"))
                }
                Error::IdenticalPair => {
                    (Unusable::Identical, "`rejected` equals `chosen`".to_owned())
                }
                _ => return Err(error.into()),
            };
            let line = rows.line();
            self.unusable(why, || format!("row {line}: {problem}"), || error.into())?;
        }
        Ok(None)
    }

    /// Counts a row that is of no use, or refuses it with `refusal`.
    pub fn unusable(
        &mut self,
        why: Unusable,
        first: impl FnOnce() -> String,
        refusal: impl FnOnce() -> anyhow::Error,
    ) -> Result<()> {
        if !self.dropped {
            return Err(anyhow!(
                "{}; --drop-unusable leaves such rows out",
                refusal()
            ));
        }
        match why {
            Unusable::Empty => self.empty.add(first),
            Unusable::Identical => self.identical.add(first),
        }
        Ok(())
    }

    /// Whether to use a row with this content: it is new, or repetitions are kept.
    pub fn is_used(&mut self, content: &impl Hash, line: usize) -> bool {
        match self.seen.insert(fingerprint(content), line) {
            None => true,
            Some(earlier) => {
                self.duplicates
                    .add(|| format!("row {line} repeats row {earlier}"));
                !self.dropped
            }
        }
    }

    /// Rows that were read.
    pub fn read(&self) -> usize {
        self.read
    }

    /// Rows that were left out.
    fn dropped(&self) -> Vec<String> {
        let mut found = vec![
            self.empty.describe("empty"),
            self.identical
                .describe("with two actions that are the same"),
        ];
        if self.dropped {
            found.push(self.duplicates.describe("there already"));
        }
        found.into_iter().flatten().collect()
    }
}

/// One line, to follow what a file holds.
impl fmt::Display for RowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows read", self.read)?;
        let dropped = self.dropped();
        if !dropped.is_empty() {
            write!(f, "; dropped: {}", dropped.join(", "))?;
        }
        if self.dropped {
            return Ok(());
        }
        match self.duplicates.describe("repeated rows are kept") {
            Some(kept) => write!(f, "; warning: {kept}; --drop-unusable drops them"),
            None => Ok(()),
        }
    }
}
