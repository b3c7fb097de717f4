//! What is said of a solution.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Status;

/// The judgement on a solution. What cannot be judged is never correct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It did all that the tests ask for.
    Correct,
    /// It did not.
    Incorrect {
        /// What it did instead, with the place in the tests; cut after 1,000 characters.
        reason: String,
        /// The kind of failure. Records without one are of [`Failed`](Cause::Failed).
        #[serde(default, skip_serializing_if = "Cause::is_failed")]
        cause: Cause,
    },
    /// Nobody can say here: a package is missing, or the tests cannot be asked.
    Unjudged {
        /// Why.
        reason: String,
    },
}

/// What kind of failure makes a solution incorrect: those that are counted apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// It did something else than the tests ask for, or was stopped at it.
    #[default]
    Failed,
    /// It did not end in time.
    TimedOut,
}

impl Cause {
    /// Why a program failed that ended so.
    pub fn of(status: &Status) -> Self {
        match status {
            Status::TimedOut => Self::TimedOut,
            _ => Self::Failed,
        }
    }

    fn is_failed(&self) -> bool {
        *self == Self::Failed
    }
}

impl Verdict {
    /// Whether it is [`Correct`](Self::Correct).
    pub fn is_correct(&self) -> bool {
        *self == Self::Correct
    }

    /// That of a solution which did something else; the reason is cut after 1,000 characters.
    pub fn incorrect(reason: impl Into<String>) -> Self {
        Self::Incorrect {
            reason: cut(reason.into()),
            cause: Cause::default(),
        }
    }

    /// The same with a cause where it is incorrect, and as it is where it is not.
    pub fn because(self, cause: Cause) -> Self {
        match self {
            Self::Incorrect { reason, .. } => Self::Incorrect { reason, cause },
            other => other,
        }
    }

    pub(crate) fn unjudged(reason: impl Into<String>) -> Self {
        Self::Unjudged {
            reason: cut(reason.into()),
        }
    }

    pub(crate) fn without_module(name: &str) -> Self {
        Self::unjudged(format!(
            "the solution needs the package `{name}`, which is not installed"
        ))
    }
}

/// Parts of a reason are the solution's own words.
fn cut(mut reason: String) -> String {
    const LONGEST: usize = 1_000;
    if let Some((end, _)) = reason.char_indices().nth(LONGEST) {
        reason.truncate(end);
        reason.push_str("...");
    }
    reason
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Correct => f.write_str("correct"),
            Self::Incorrect { reason, .. } => write!(f, "incorrect: {reason}"),
            Self::Unjudged { reason } => write!(f, "unjudged: {reason}"),
        }
    }
}
