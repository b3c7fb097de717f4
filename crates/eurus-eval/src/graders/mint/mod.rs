//! MINT: a problem is solved over a few turns, with a Python session as tool and a few solutions to propose.
//!
//! [`Task::grade`] judges a proposed solution, [`Episode`] is the conversation around it, without the model.
//!
//! | task | what | [`Rules::Authors`] | [`Rules::Fixed`] |
//! | --- | --- | --- | --- |
//! | reasoning | numbers, as of [`Numbers`] | within 5 %: 10.5 for 10 | equal, as of [`answer_equality`]: 20/2 for 10.0 |
//! | | texts | the reference anywhere in the solution: `apple` for `a` | equal |
//! | choice | letters | the loop over them returns in its first turn: `a)` is found, `c) ashramas` is taken whole | each letter with a bracket |
//! | | the rest | the letter anywhere in the solution: `i and ii only` for `d`; its option anywhere, if no other stands there, of which some are missed | the letter, or the text of its option |
//! | TheoremQA | `10^5` | `math` is not in reach: wrong | 100000 |
//! | | nothing | is 0 | is wrong |
//! | | `Yes`, `NO` | no answer | as `yes`, `no` |
//! | code | a fenced solution | does not parse | the fence is left out |
//!
//! A TheoremQA solution is an expression of Python and is evaluated as such, in the sandbox. Solution and tests of code tasks
//! share one process, where the solution could have its way with the tests; the grade says so.

mod episode;
mod prompts;
mod texts;
mod theorem_qa;

use std::collections::BTreeMap;
use std::time::Duration;

use code_interpreter::{Limits, Result, Session};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::episode::{Counts, End, Episode, Message, Role, Settings};
pub use self::prompts::{first_message, human_eval_prompt, mbpp_prompt, mmlu_prompt};
pub use self::texts::{hides_options, options};
use super::python::{TOGETHER, enclosed, grade as graded, judge_together};
use super::{Grade, Rules};

/// The time that a code solution has.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What [`Rules::Authors`] take for a number where it is to be near another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbers {
    /// All numbers: the released grader.
    #[default]
    Signed,
    /// Those without a sign: the grader of the runs that the paper reports, where -150 is not -150.0.
    Unsigned,
}

/// What decides whether a solution is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Of MATH and GSM8K.
    Reasoning {
        /// The right answer.
        reference: String,
        /// What is a number.
        #[serde(default)]
        numbers: Numbers,
    },
    /// Of MMLU.
    MultipleChoice {
        /// The right option's letter, lower-case.
        reference: String,
        /// Texts by their letter, as of [`options`].
        options: BTreeMap<String, String>,
    },
    /// Of TheoremQA.
    TheoremQa {
        /// The right answer; whether a number is an integer matters.
        reference: Value,
        /// The kind of answer: `bool`, `option`, `integer`, `float`, `list of integer`, `list of float`.
        answer_type: String,
    },
    /// Of HumanEval and MBPP.
    Code {
        /// Asserts, or a `check` and its call.
        tests: String,
    },
}

/// The limits of a session that is the tool of an episode: 30 s for each cell, of whose output 2,000 characters are shown.
pub fn limits() -> Limits {
    Limits {
        wall: Duration::from_secs(30),
        cpu: Duration::from_secs(120),
        output_chars: 2_000,
        ..Limits::default()
    }
}

impl Task {
    /// Judges a proposed solution. What is run for it is run in a fresh process beside the session's.
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the solution.
    pub fn grade(&self, solution: &str, rules: Rules, session: &mut Session) -> Result<Grade> {
        match self {
            Self::Reasoning { reference, numbers } => {
                Ok(texts::reasoning(solution, reference, *numbers, rules))
            }
            Self::MultipleChoice { reference, options } => {
                Ok(texts::multiple_choice(solution, reference, options, rules))
            }
            Self::TheoremQa {
                reference,
                answer_type,
            } => theorem_qa::grade(
                solution,
                reference,
                answer_type,
                rules,
                session.interpreter(),
            ),
            Self::Code { tests } => {
                let code = match rules {
                    Rules::Authors => solution,
                    Rules::Fixed => unfenced(solution),
                };
                let program = format!("{code}\n{tests}");
                let interpreter = session.interpreter();
                let verdict = judge_together(interpreter, &program, &[], TIME_LIMIT)?;
                Ok(graded(verdict, code, TOGETHER))
            }
        }
    }
}

/// The first fenced block; all where there is none.
fn unfenced(solution: &str) -> &str {
    let block = |open| enclosed(solution, open, "```").first().copied();
    block("```python")
        .or_else(|| block("```"))
        .unwrap_or(solution)
}
