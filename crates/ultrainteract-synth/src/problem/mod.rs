//! A problem to build a tree for.

mod check;
mod flat;
mod read;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use ultrainteract::Task;

pub(crate) use check::check;
pub(crate) use flat::{KEYS, fenced, find_choice, from_fields};
pub(crate) use read::listed;
pub use read::{BadProblem, ProblemFiles, read_problems, read_problems_skipping};

/// A problem and what its actions are judged by.
///
/// As JSON it is one flat object: `id`, `task`, `instruction`, what [`Gold`] says, and, where there are any, `solutions` and
/// `dataset`.
///
/// ```
/// use ultrainteract_synth::{Gold, Problem};
///
/// let line = r#"{"id": "p1", "task": "Math_CoT", "instruction": "What is 6 * 7?", "answer": 42}"#;
/// let problem: Problem = serde_json::from_str(line)?;
/// assert_eq!(problem.gold, Gold::Answer("42".into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A name that no other problem of the run has; it becomes the id of the tree.
    pub id: String,
    /// The kind of problem.
    pub task: Task,
    /// The first user message.
    pub instruction: String,
    /// What decides whether an action is right.
    pub gold: Gold,
    /// Right actions, in the format that the actor is to use, the preferred one first. May be empty, if nobody wrote one; then
    /// there is nothing to fall back on.
    pub solutions: Vec<String>,
    /// Where the problem comes from.
    pub dataset: String,
}

impl Problem {
    /// What the `ground_truth` of the tree says; see [`Gold::ground_truth`].
    pub fn ground_truth(&self) -> Option<Cow<'_, str>> {
        self.gold.ground_truth()
    }

    /// The annotated solution: the first one.
    pub fn rationale(&self) -> Option<&str> {
        self.solutions.first().map(String::as_str)
    }
}

/// What decides whether an action is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gold {
    /// Its final answer must say this. JSON: `answer`.
    Answer(String),
    /// Its final answer must be this choice. JSON: `choices` and `answer`, which is the choice's own text, its letter, or its
    /// number counted from 1; the first of these that fits counts.
    Choice {
        /// The choices, two or more, no two alike.
        choices: Vec<String>,
        /// The position of the right one, from 0.
        answer: usize,
    },
    /// Its program must print the right output to every input. JSON: `tests`.
    Tests(Vec<IoTest>),
    /// These statements must run without an exception once the program is there. JSON: `asserts` and `entry_point`.
    Asserts {
        /// Python: `assert` statements that call the entry point by its name, or a function `check(candidate)` that has them.
        code: String,
        /// What the program must define: the name of a function, or an expression such as `Solution().solve` that gives one;
        /// such an expression goes with `check(candidate)`.
        entry_point: String,
    },
    /// Nothing decides: its actions stay unjudged, and it is of use for fine-tuning alone. JSON: `"unjudged": true`.
    Unjudged,
}

/// The most choices that letters are there for.
pub(crate) const MOST_CHOICES: usize = 26;

impl Gold {
    /// The reference as one text: the answer, the choice as `(B) its text`, or the asserts. Of tests their number and the first
    /// one, as the whole may have megabytes. `None` if there is no reference.
    pub fn ground_truth(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Answer(answer) => answer.into(),
            Self::Choice { choices, answer } => {
                let text = choices.get(*answer)?;
                format!("({}) {text}", letter(*answer)?).into()
            }
            Self::Tests(tests) => {
                let IoTest { input, output, .. } = tests.first()?;
                let (input, output) = (cut(input), cut(output));
                let count = tests.len();
                format!("a program that passes {count} tests, the first:\ninput:\n{input}\noutput:\n{output}")
                    .into()
            }
            Self::Asserts { code, .. } => code.into(),
            Self::Unjudged => return None,
        })
    }

    /// The way of judging in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::Choice { .. } => "choice",
            Self::Tests(_) => "tests",
            Self::Asserts { .. } => "asserts",
            Self::Unjudged => "unjudged",
        }
    }

    /// A text that differs where two golds do.
    pub(crate) fn identity(&self) -> Cow<'_, str> {
        match self {
            Self::Answer(answer) => answer.into(),
            other => format!("{other:?}").into(),
        }
    }
}

/// An input and the output that it must give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoTest {
    /// Standard input.
    pub input: String,
    /// Standard output.
    pub output: String,
    /// The most time, in milliseconds, if the source gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// The most memory, in bytes, if the source gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
}

/// The letter of a choice, counted from 0.
pub(crate) fn letter(choice: usize) -> Option<char> {
    let place = u8::try_from(choice)
        .ok()
        .filter(|place| usize::from(*place) < MOST_CHOICES)?;
    Some(char::from(b'A' + place))
}

/// The beginning of a text of a test.
fn cut(text: &str) -> &str {
    const MOST: usize = 500;
    let text = text.trim_end();
    text.char_indices()
        .nth(MOST)
        .map_or(text, |(end, _)| &text[..end])
}
