//! What an import did.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use ultrainteract::Task;
use ultrainteract::input::Location;

use crate::Problem;

/// A row that no problem was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// File and place; written as `row 3 of train.jsonl`.
    pub location: Location,
    /// The cause.
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.reason)
    }
}

/// Counts of an import, and the rows that were left out. Every row is the row of at least one problem, or left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows read, those left out among them.
    pub rows: usize,
    /// Problems made; a row asked both ways makes two.
    pub problems: usize,
    /// Problems of each task, by its name.
    pub by_task: BTreeMap<&'static str, usize>,
    /// Problems of each way of judging: `answer`, `choice`, `tests`, `asserts` or `unjudged`.
    pub by_judgement: BTreeMap<&'static str, usize>,
    /// Problems that have a solution.
    pub with_solution: usize,
    /// The rows left out, in order.
    pub left_out: Vec<LeftOut>,
}

impl Summary {
    pub(super) fn count(&mut self, problem: &Problem) {
        self.problems += 1;
        *self.by_task.entry(Task::as_str(problem.task)).or_default() += 1;
        *self.by_judgement.entry(problem.gold.kind()).or_default() += 1;
        self.with_solution += usize::from(!problem.solutions.is_empty());
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<&str, usize>| {
            let counts = counts.iter().map(|(name, count)| format!("{count} {name}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        write!(
            f,
            "{} rows, {} left out; {} problems ({}; judged by: {}), {} with a solution",
            self.rows,
            self.left_out.len(),
            self.problems,
            list(&self.by_task),
            list(&self.by_judgement),
            self.with_solution
        )
    }
}
