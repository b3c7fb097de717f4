//! Environments: they try an action and say whether it solves the problem.

mod branches;
mod judge;
mod python;
#[cfg(feature = "search")]
mod search;
mod solutions;
mod tool;

use code_interpreter::Execution;
use ultrainteract::Verdict;

use crate::{Problem, Result};

pub use python::PythonEnvironment;
#[cfg(feature = "search")]
pub use search::CorpusSearch;
pub use solutions::failing_solutions;
pub use tool::Tool;

/// The feedback on a correct action.
pub const CORRECT_FEEDBACK: &str = "Your answer is correct.";

/// The feedback on an incorrect action.
pub const WRONG_FEEDBACK: &str = "Your answer is wrong.";

/// An action to be tried.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The problem that it is meant to solve.
    pub problem: &'a Problem,
    /// The actions before it on its path, oldest first.
    pub history: &'a [String],
    /// The action.
    pub action: &'a str,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whether it solves the problem.
    pub verdict: Verdict,
    /// The answer that was compared with the ground truth, if there was one.
    pub answer: Option<String>,
    /// The execution of the action's code, if it has code. Of several blocks: the outputs together,
    /// and how the first that failed ended, or the last.
    pub execution: Option<Execution>,
}

/// An environment tries actions and judges them. Actions come in batches, so that an environment
/// can try many at once.
pub trait Environment: Sync {
    /// Says of each action whether it can be tried at all, or why not, before anything is run:
    /// for programs a syntax check. One entry per attempt, in order.
    ///
    /// # Errors
    ///
    /// When the environment itself fails; never because of an action.
    fn check(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Result<(), String>>>;

    /// Tries each action and judges it. One entry per attempt, in order.
    ///
    /// An attempt's outcome depends on that attempt alone, so that batches can be cut anywhere.
    ///
    /// # Errors
    ///
    /// When the environment itself fails; never because of an action.
    fn execute(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Outcome>>;

    /// The tool that the code of actions on logic problems can call, for the actor to be told of. Default none.
    fn tool(&self) -> Option<&dyn Tool> {
        None
    }

    /// The sentence that tells an actor the verdict.
    fn feedback(&self, verdict: Verdict) -> &str {
        match verdict {
            Verdict::Correct => CORRECT_FEEDBACK,
            Verdict::Incorrect => WRONG_FEEDBACK,
            Verdict::Unjudged => "",
        }
    }
}
