//! What knows the graders of golden rows.

use std::fmt::Debug;

use anyhow::{Context, Result};
use serde_json::Value;

/// Whether a row of golden values is met.
pub enum Judged {
    /// It is.
    Agrees,
    /// It is not, and how.
    Differs(String),
}

impl Judged {
    /// Holds what was computed against what is right.
    pub fn compare<T: PartialEq + Debug>(got: &T, right: &T) -> Self {
        match got == right {
            true => Self::Agrees,
            false => Self::Differs(format!("got {got:?}, right is {right:?}")),
        }
    }
}

/// A grader as golden rows name it, and how a row of it is judged.
pub struct GoldenGrader {
    /// The row's field `grader`.
    pub name: &'static str,
    /// Judges a row.
    pub judge: fn(&Value) -> Result<Judged>,
    /// The share of rows that must agree, where it is not that of all others: 1 for hashes and aggregates.
    pub least: Option<f64>,
}

impl GoldenGrader {
    /// A grader whose rows agree but for a few.
    pub const fn new(name: &'static str, judge: fn(&Value) -> Result<Judged>) -> Self {
        Self {
            name,
            judge,
            least: None,
        }
    }

    /// A grader of which every row must agree.
    pub const fn exact(name: &'static str, judge: fn(&Value) -> Result<Judged>) -> Self {
        Self {
            name,
            judge,
            least: Some(1.0),
        }
    }
}

/// All that are known.
pub fn golden_graders() -> Vec<GoldenGrader> {
    [
        super::code::graders(),
        super::ifeval::graders(),
        super::matching::graders(),
        super::math::graders(),
        super::mint::graders(),
        super::prompts::graders(),
        super::reranking::graders(),
        super::reward_benches::graders(),
        super::theorem_qa::graders(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A field of a row that is text.
pub fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str> {
    row[field]
        .as_str()
        .with_context(|| format!("no field `{field}`"))
}
