//! Everything that is wrong with a record, not only the first thing, each with its place.
//!
//! [`Format::parse`] stops at the first fault, as a program that wants the data must.
//! Somebody who repairs a file wants all of them: [`record`] reads field by field, goes on where it
//! can, and checks every rule. Both agree on what is valid.
//!
//! ```
//! use ultrainteract::formats::Format;
//! use ultrainteract::validate::{self, Limits};
//!
//! let line = br#"{"id": "a_1_1", "parent_id": "a", "task": "Chess", "dataset": "d",
//!     "trajectory": [{"from": "assistant", "value": ""}], "chosen": 7, "rejected": "no"}"#;
//! let checked = validate::record(Format::Pair, line, &Limits::default());
//! let messages: Vec<String> = checked.violations.iter().map(|fault| fault.to_string()).collect();
//! assert_eq!(messages.len(), 4);
//! assert!(messages[0].starts_with("field `task`: unknown task `Chess`"));
//! assert!(messages[1].starts_with("field `chosen`: invalid type: integer `7`"));
//! assert!(messages[2].starts_with("field `trajectory[0].from` is `assistant`"));
//! assert!(messages[3].starts_with("field `trajectory[0].value` is empty"));
//! ```

mod fields;
mod files;
mod rows;
mod tree;

use crate::example::Example;
use crate::formats::{Format, PairRow, TreeRecord};
use crate::{Error, PreferenceTree};

pub use files::{Finding, Report, files};
pub use tree::tree_record;

/// Limits that a valid tree or pair keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most turns of a tree or a pair's trajectory.
    pub max_turns: usize,
}

impl Default for Limits {
    /// Five turns, as in UltraInteract.
    fn default() -> Self {
        Self {
            max_turns: PreferenceTree::DEFAULT_MAX_TURNS,
        }
    }
}

/// A record that was looked at.
#[derive(Debug)]
pub struct Checked {
    /// The example, if it is valid.
    pub example: Option<Example>,
    /// The rules that the record breaks.
    pub violations: Vec<Error>,
    /// Something that no rule forbids and that is hardly meant: [`Error::DoubtfulScore`].
    pub warning: Option<Error>,
}

/// Checks a record, as it stands in a file, against everything its format asks.
pub fn record(format: Format, record: &[u8], limits: &Limits) -> Checked {
    let (example, mut violations) = match format {
        Format::Tree => tree::parse(record, limits),
        _ => match format.parse_unchecked(record) {
            Ok(example) => {
                let violations = Format::violations(&example);
                (Some(example), violations)
            }
            Err(fault) => (None, rows::all_faults(format, record, fault)),
        },
    };
    if let Some(Example::Pair(row)) = &example {
        violations.extend(too_many_turns(row, limits));
    }
    Checked {
        warning: example.as_ref().and_then(Example::doubtful_score),
        example: example.filter(|_| violations.is_empty()),
        violations,
    }
}

fn too_many_turns(row: &PairRow, limits: &Limits) -> Option<Error> {
    (row.turn() > limits.max_turns).then(|| Error::TooManyTurns {
        tree: row.parent_id.clone(),
        turn: row.turn(),
        max: limits.max_turns,
    })
}

impl TreeRecord {
    /// Everything that is wrong with the record; a tree can be made of it if there is nothing.
    ///
    /// ```
    /// use ultrainteract::formats::TreeRecord;
    /// use ultrainteract::{PreferenceTree, Task, validate::Limits};
    ///
    /// let tree = PreferenceTree::new("p1", Task::Logic, "toy", "What is 1 + 1?")?;
    /// let mut record = TreeRecord::from(&tree);
    /// assert!(record.violations(&Limits::default()).is_empty());
    /// record.id.clear();
    /// record.max_turns = 9;
    /// assert_eq!(record.violations(&Limits::default()).len(), 2);
    /// # Ok::<(), ultrainteract::Error>(())
    /// ```
    pub fn violations(&self, limits: &Limits) -> Vec<Error> {
        tree_record(self, limits)
    }
}
