//! Whether an answer is right, by the rules of the benchmark it belongs to.
//!
//! Graders are pure functions: an answer and what it is held against go in, a [`Grade`] comes out. Those that run the
//! program of an answer take an interpreter besides.
//!
//! Each knows two sets of [`Rules`]: the verdicts of the code that the paper's authors released, and the same without its
//! defects.

pub mod bbh;
pub mod generic;
pub mod human_eval;
pub mod ifeval;
pub mod judge;
pub mod leetcode;
pub mod math;
pub mod mbpp;
pub mod mint;
pub mod mmlu;
pub mod program_of_thought;
mod python;
pub mod theorem_qa;

use std::fmt;
use std::str::FromStr;

pub use code_interpreter::{Cause, Verdict};
use serde::{Deserialize, Serialize};

/// Whose verdicts are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rules {
    /// Those of the code that the authors of the paper released, its defects among them: what published numbers are to be
    /// compared with.
    #[default]
    Authors,
    /// The same without the defects: what a model is to be judged by.
    Fixed,
}

impl Rules {
    /// All, the default first.
    pub const ALL: [Self; 2] = [Self::Authors, Self::Fixed];
}

impl fmt::Display for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Authors => "authors",
            Self::Fixed => "fixed",
        })
    }
}

impl FromStr for Rules {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|rules| rules.to_string() == name)
            .ok_or_else(|| format!("unknown rules `{name}`; known are authors and fixed"))
    }
}

/// What is said of an answer, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grade {
    /// The judgement.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The part of the answer that was judged; nothing where none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extracted: Option<String>,
    /// The rule that decided, in a few words.
    pub why: String,
    /// Which instructions are followed, where an answer has several to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<ifeval::Followed>,
}

impl Grade {
    /// A grade by a rule that an answer meets or does not.
    pub fn new(is_correct: bool, extracted: Option<String>, why: impl Into<String>) -> Self {
        let why = why.into();
        let verdict = match is_correct {
            true => Verdict::Correct,
            false => Verdict::incorrect(&why),
        };
        Self::of(verdict, extracted, why)
    }

    /// A grade with this judgement.
    pub fn of(verdict: Verdict, extracted: Option<String>, why: impl Into<String>) -> Self {
        Self {
            verdict,
            extracted,
            why: why.into(),
            followed: None,
        }
    }

    /// A grade of what nobody can judge, and why.
    pub fn unjudged(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let verdict = Verdict::Unjudged {
            reason: reason.clone(),
        };
        Self::of(verdict, None, reason)
    }

    /// Whether the answer is right.
    pub fn is_correct(&self) -> bool {
        self.verdict.is_correct()
    }
}
