//! What became of the text of rows: those that were too long, and where tokens made node by node are not those of the
//! whole text.

use std::fmt;

use anyhow::Result;
use eurus::forest::{BoundaryDifferences, LengthCounts};

use crate::rows::RowReport;
use crate::setup::{PathLimit, Setup};

/// Trees of each round of [`TextReport::compare`].
const ROUND: usize = 200;

/// Counts of one file.
pub struct TextReport {
    /// Rows by what became of them. Empty when a row that is too long is an error.
    pub lengths: LengthCounts,
    limit: PathLimit,
    token_budget: usize,
    found: BoundaryDifferences,
    /// Trees or rows that were compared, and that there are.
    compared: usize,
    seen: usize,
    show: bool,
}

impl TextReport {
    pub fn new(setup: &Setup) -> Self {
        Self {
            lengths: LengthCounts::default(),
            limit: setup.path_limit,
            token_budget: setup.settings.token_budget,
            found: BoundaryDifferences::default(),
            compared: 0,
            seen: 0,
            show: setup.show_tokenization,
        }
    }

    /// Compares the next tree or row with its whole text, or passes it over: the first 200 are compared, then 200 of
    /// every second, 200 of every fourth and so on, so that large files cost little more than small ones.
    pub fn compare(
        &mut self,
        differences: impl FnOnce() -> eurus::forest::Result<BoundaryDifferences>,
    ) -> Result<()> {
        let every = 1 << (self.compared / ROUND).min(32);
        if self.seen.is_multiple_of(every) {
            self.found += differences()?;
            self.compared += 1;
        }
        self.seen += 1;
        Ok(())
    }

    /// Why nothing is left to train on.
    pub fn nothing_left(&self, read: &RowReport) -> String {
        match (read.read(), self.lengths.dropped()) {
            (0, _) => "there is no row in it".to_owned(),
            (_, 0) => format!("no row is left: {read}"),
            (_, over_long) => format!(
                "no row is left: {read}; {over_long} longer than {} = {} or --token-budget {}; raise them",
                self.limit.set_by, self.limit.tokens, self.token_budget
            ),
        }
    }

    fn write_lengths(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.lengths;
        if counts.over_long() == 0 {
            return Ok(());
        }
        write!(
            f,
            "\n  {} of {} rows are longer than {} = {} or --token-budget {}:",
            counts.over_long(),
            counts.groups,
            self.limit.set_by,
            self.limit.tokens,
            self.token_budget
        )?;
        for (rows, what) in [
            (counts.dropped_for_history, "dropped for their history"),
            (
                counts.dropped_for_response,
                "dropped because they do not fit even without a history",
            ),
        ] {
            if rows > 0 {
                write!(f, " {rows} {what};")?;
            }
        }
        write!(
            f,
            " {} cut, {} turns with {} tokens",
            counts.cut, counts.cut_turns, counts.cut_tokens
        )
    }

    fn write_differences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.found;
        if self.compared == 0 {
            return Ok(());
        }
        let share = 100.0 * found.different_tokens as f64 / found.tokens.max(1) as f64;
        write!(
            f,
            "\n  tokens: {} of {} paths differ from their whole text tokenized at once, in {} tokens ({share:.3}%); compared {} of {} trees",
            found.different_paths, found.paths, found.different_tokens, self.compared, self.seen
        )?;
        if self.show {
            for place in &found.places {
                write!(f, "\n    {place}")?;
            }
        } else if found.different_paths > 0 {
            f.write_str("; --show-tokenization shows where")?;
        }
        Ok(())
    }
}

/// Lines to follow what a file holds, each after a line break.
impl fmt::Display for TextReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_lengths(f)?;
        self.write_differences(f)
    }
}
