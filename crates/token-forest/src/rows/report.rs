//! What was read, and the records that cannot be trained on: counted by reason before training, with the first of each.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use ultrainteract::input::Location;

use super::OptionNames;
use crate::{BoundaryDifferences, LabelKind, LengthCounts, LengthLimit, TextCounts};

/// Why a record cannot be trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// A text is blank.
    Empty,
    /// The two actions of a pair are the same, in text or in tokens.
    IdenticalPair,
    /// Fewer than two answers have scores that differ.
    Unscored,
    /// A path or a group has too many tokens, and such rows are to be errors.
    OverLong,
}

/// A record and what is the matter with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The record.
    pub row: Location,
    /// What is the matter.
    pub problem: String,
}

/// Records of one kind, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Found {
    /// How many there are.
    pub rows: usize,
    /// The first one.
    pub first: Option<Problem>,
}

impl Found {
    fn add(&mut self, row: &Location, problem: impl FnOnce() -> String) {
        self.rows += 1;
        if self.first.is_none() {
            self.first = Some(Problem {
                row: row.clone(),
                problem: problem(),
            });
        }
    }

    /// `3 empty (first: row 7: ...)`; `None` if there are none.
    fn describe(&self, kind: &str, with_file: bool) -> Option<String> {
        let Problem { row, problem } = self.first.as_ref()?;
        let first = if self.rows > 1 { "first: " } else { "" };
        let row = match with_file {
            true => row.to_string(),
            false => row.place.to_string(),
        };
        Some(format!("{} {kind} ({first}{row}: {problem})", self.rows))
    }
}

/// The records of some files, counted by what became of them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RowReport {
    /// Records that were read.
    pub read: usize,
    /// Records with a blank text.
    pub empty: Found,
    /// Records with two actions that are the same, in text or in tokens.
    pub identical_pairs: Found,
    /// Records with fewer than two answers whose scores differ.
    pub unscored: Found,
    /// Records that hold nothing of the kind that is trained on, as a tree without a pair.
    pub without_examples: Found,
    /// Records that repeat an earlier one.
    pub duplicates: Found,
    /// Whether empty records, identical pairs, unscored ones and duplicates are left out. If not, duplicates are used, and
    /// the others are errors.
    pub dropped: bool,
    /// Responses that were too long, by what became of them.
    pub over_long: LengthCounts,
    /// What the template and the tokenizer made of texts.
    pub texts: TextCounts,
    /// Too long where that is an error.
    #[serde(skip)]
    too_long: Found,
    #[serde(skip)]
    pub(super) tokens: Tokenization,
    #[serde(skip)]
    files: usize,
    #[serde(skip)]
    seen: HashMap<Fingerprint, Location>,
    #[serde(skip)]
    limits: (LengthLimit, OptionNames),
}

/// Where tokens made node by node differ from those of the whole text, in a sample of the trees.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokenization {
    pub found: BoundaryDifferences,
    /// Trees that were compared, of those there are.
    pub compared: usize,
    pub trees: usize,
    /// Whether to tell the places.
    pub show: bool,
}

/// 128 bits of a record's content, so that two records with the same are the same.
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
    /// Nothing read yet.
    pub(super) fn new(
        dropped: bool,
        files: usize,
        limit: LengthLimit,
        names: OptionNames,
        show_tokenization: bool,
    ) -> Self {
        Self {
            dropped,
            files,
            limits: (limit, names),
            tokens: Tokenization {
                show: show_tokenization,
                ..Tokenization::default()
            },
            ..Self::default()
        }
    }

    /// Counts a record that is left out.
    pub(super) fn add(&mut self, why: Unusable, row: &Location, problem: impl FnOnce() -> String) {
        let found = match why {
            Unusable::Empty => &mut self.empty,
            Unusable::IdenticalPair => &mut self.identical_pairs,
            Unusable::Unscored => &mut self.unscored,
            Unusable::OverLong => &mut self.too_long,
        };
        found.add(row, problem);
    }

    /// Counts a record that holds nothing of the kind that is trained on.
    pub(super) fn add_without_example(&mut self, row: &Location, problem: impl FnOnce() -> String) {
        self.without_examples.add(row, problem);
    }

    /// Whether to use a record with this content: it is new, or duplicates are kept.
    pub(super) fn is_used(&mut self, content: &impl Hash, row: &Location) -> bool {
        let earlier = match self.seen.entry(fingerprint(content)) {
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(row.clone());
                return true;
            }
            std::collections::hash_map::Entry::Occupied(place) => place.get().clone(),
        };
        let with_file = self.files > 1;
        self.duplicates.add(row, || match with_file {
            true => format!("the same as {earlier}"),
            false => format!("the same as {}", earlier.place),
        });
        !self.dropped
    }

    /// Why training cannot begin, if records cannot be trained on and are not to be dropped.
    pub(super) fn refusal(&self) -> Option<String> {
        let (_, names) = &self.limits;
        let mut rows = self.too_long.rows;
        let mut found = Vec::new();
        let mut advice = Vec::new();
        let droppable = self.empty.rows + self.identical_pairs.rows + self.unscored.rows;
        if !self.dropped && droppable > 0 {
            rows += droppable;
            found.extend(self.unusable(true));
            let what = match self.unscored.rows {
                0 => "have identical actions",
                _ => "have fewer than two scored answers",
            };
            let option = &names.drop_unusable;
            advice.push(format!(
                "leave out rows that are empty or {what} ({option})"
            ));
        }
        if let Some(too_long) = self.too_long.describe("too long", true) {
            found.push(too_long);
            let option = &names.over_long;
            advice.push(format!(
                "raise the limit, or let rows that are too long be cut or dropped ({option})"
            ));
        }
        (rows > 0).then(|| {
            format!(
                "{rows} of {} rows cannot be trained on: {}; {}",
                self.read,
                found.join(", "),
                advice.join("; ")
            )
        })
    }

    /// Why nothing is left to train on.
    pub(super) fn nothing_left(&self) -> String {
        let (limit, names) = &self.limits;
        match (self.read, self.over_long.dropped()) {
            (0, _) => "there is no row in it".to_owned(),
            (_, 0) => format!("no row is left: {}", self.of_rows()),
            (_, over_long) => format!(
                "no row is left: {}; {over_long} longer than {} = {} or {} {}; raise them",
                self.of_rows(),
                names.path,
                limit.path,
                names.together,
                limit.together
            ),
        }
    }

    fn unusable(&self, with_file: bool) -> Vec<String> {
        let kinds = [
            self.empty.describe("empty", with_file),
            self.identical_pairs
                .describe("with identical actions", with_file),
            self.unscored
                .describe("with fewer than two scored answers", with_file),
        ];
        kinds.into_iter().flatten().collect()
    }

    /// What was read, and what was dropped or kept of it, in a line.
    fn of_rows(&self) -> String {
        let with_file = self.files > 1;
        let mut line = format!("{} rows read", self.read);
        if let Some(without) = self
            .without_examples
            .describe("with nothing to learn", with_file)
        {
            line += &format!("; {without}");
        }
        let duplicates = self.duplicates.describe("duplicate", with_file);
        if self.dropped {
            let mut dropped = self.unusable(with_file);
            dropped.extend(duplicates);
            if !dropped.is_empty() {
                line += &format!("; dropped: {}", dropped.join(", "));
            }
        } else if let Some(kept) = duplicates {
            let option = &self.limits.1.drop_unusable;
            line += &format!("; warning: {kept} are used, {option} drops them");
        }
        line
    }

    fn write_lengths(&self, f: &mut fmt::Formatter<'_>, kind: LabelKind) -> fmt::Result {
        let counts = &self.over_long;
        if counts.over_long() == 0 {
            return Ok(());
        }
        let (limit, names) = &self.limits;
        write!(
            f,
            "\n  {} of {} {} are longer than {} = {} or {} {}:",
            counts.over_long(),
            counts.groups,
            kind.nouns()[1],
            names.path,
            limit.path,
            names.together,
            limit.together
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
        let Tokenization {
            found,
            compared,
            trees,
            show,
        } = &self.tokens;
        if *compared == 0 {
            return Ok(());
        }
        let share = 100.0 * found.different_tokens as f64 / found.tokens.max(1) as f64;
        write!(
            f,
            "\n  tokens: {} of {} paths differ from their whole text tokenized at once, in {} tokens ({share:.3}%); compared {compared} of {trees} trees",
            found.different_paths, found.paths, found.different_tokens
        )?;
        if *show {
            for place in &found.places {
                write!(f, "\n    {place}")?;
            }
        } else if found.different_paths > 0 {
            let option = &self.limits.1.show_tokenization;
            write!(f, "; {option} shows where")?;
        }
        Ok(())
    }

    /// What goes after what is trained on: long responses, and how tokens were made.
    pub(super) fn write_details(&self, f: &mut fmt::Formatter<'_>, kind: LabelKind) -> fmt::Result {
        self.write_lengths(f, kind)?;
        let texts = self.texts.to_string();
        if !texts.is_empty() {
            write!(f, "\n  texts: {texts}")?;
        }
        self.write_differences(f)
    }
}

/// What was read, and what was dropped or kept of it.
impl fmt::Display for RowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of_rows())
    }
}
