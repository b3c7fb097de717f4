//! What to import, and how.

use std::path::PathBuf;
use std::str::FromStr;

use ultrainteract::Task;

use super::columns::Columns;
use super::table::Source;
use crate::{Error, Result};
use ultrainteract::nearest::nearest;

/// Where problems are to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// One of the twelve.
    Source(Source),
    /// Any CSV, TSV, JSONL, JSON array or Parquet file, by the names of its columns.
    Columns(Columns),
}

/// Which way mathematics is asked: in words, with a program, or as two problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In words.
    Cot,
    /// With a program.
    Pot,
    /// Both, with different ids.
    Both,
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "cot" => Ok(Self::Cot),
            "pot" => Ok(Self::Pot),
            "both" => Ok(Self::Both),
            other => {
                let known = ["cot", "pot", "both"];
                let meant = nearest(other, &known)
                    .map(|known| format!("; did you mean `{known}`?"))
                    .unwrap_or_default();
                Err(Error::import(
                    format!("mode `{name}`"),
                    format!("is not known; known are {}{meant}", known.join(", ")),
                ))
            }
        }
    }
}

/// How rows become problems.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportOptions {
    /// Which way mathematics is asked. Default the way or ways that the paper asked the source.
    pub mode: Option<Mode>,
    /// Also rows that can be judged and that the paper left out all the same: MathQA beyond five of a formula, TabMWP's other
    /// grades. Default false.
    pub all_rows: bool,
    /// Problems that nothing decides about, for fine-tuning alone. Default false, and then Magicoder is refused.
    pub unjudged: bool,
    /// Files of problems that no row may be much like, such as those of CodeContests for TACO, of which the paper removed what
    /// is in both. How it found them is not known; ours is [`ImportOptions::likeness`]. Default none.
    pub not_like: Vec<PathBuf>,
    /// The share of different five-word runs that a row and a problem of `not_like` have both, from which on they are the same;
    /// above 0, at most 1. Default 0.5.
    pub likeness: f64,
    /// The folder in which WikiTableQuestions' `csv` lies. Default beside the file or one folder further up.
    pub tables: Option<PathBuf>,
    /// The most solutions of a problem that are kept, the first different ones; some have hundreds. Default 8.
    pub most_solutions: usize,
    /// The task of rows of a table that has no column for it. Default none.
    pub task: Option<Task>,
    /// The name of the data set. Default the source's, or `own`.
    pub dataset: Option<String>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            mode: None,
            all_rows: false,
            unjudged: false,
            not_like: Vec::new(),
            likeness: 0.5,
            tables: None,
            most_solutions: 8,
            task: None,
            dataset: None,
        }
    }
}
