//! A problem to build a tree for.

use serde::{Deserialize, Serialize};
use ultrainteract::{Schema, Task};

/// A problem, its answer and an annotated solution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// A name that no other problem of the run has; it becomes the id of the tree.
    pub id: String,
    /// The first user message.
    pub instruction: String,
    /// The right answer.
    pub ground_truth: String,
    /// A right action, in the format that the actor is to use. May be empty, if nobody wrote one;
    /// then there is nothing to fall back on.
    pub rationale: String,
    /// The kind of problem.
    pub task: Task,
    /// How the actor is to reason.
    pub schema: Schema,
    /// Where the problem comes from.
    pub dataset: String,
}
