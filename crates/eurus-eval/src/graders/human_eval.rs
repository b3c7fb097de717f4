//! HumanEval: a function is completed and called by the problem's tests.
//!
//! The driver begins the answer with a fence and `def`, so that the model's text is what follows them.
//!
//! | what | [`Rules::Authors`] | [`Rules::Fixed`] |
//! | --- | --- | --- |
//! | where the tests run | in the candidate's process, where it can pass any tests if it means to: by an object that equals everything, for one | in a process of their own; in the candidate's where [`code_interpreter::asserts`] cannot ask from there, because an object does not cross |
//! | time | 3 s by the clock | 3 s of the processor's for each process, whatever else the machine does |
//! | a package that is not installed | unjudged, and named | the same |
//!
//! In the one process an exception of any kind fails, `SystemExit` and `KeyboardInterrupt` too; reading standard input
//! raises; `exit`, `os.kill`, `subprocess.Popen` and others are `None`.

use std::time::Duration;

use code_interpreter::asserts::AssertTests;
use code_interpreter::{Interpreter, Result};
use serde::{Deserialize, Serialize};

use super::python::{TOGETHER, before_fence, grade as graded, judge_apart, judge_together};
use super::{Grade, Rules};

/// The time that a program has.
pub const TIME_LIMIT: Duration = Duration::from_secs(3);

/// A problem, by the fields of the published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its name, `HumanEval/0`.
    pub task_id: String,
    /// Imports, helpers, and the function's head with its docstring.
    pub prompt: String,
    /// The function's name.
    pub entry_point: String,
    /// The body of a right solution.
    #[serde(default)]
    pub canonical_solution: String,
    /// Defines `check(candidate)`.
    pub test: String,
}

/// The completion that is judged: the model's text up to the first fence, behind the `def` that was written for it.
///
/// ```
/// use eurus_eval::graders::human_eval::completion;
///
/// assert_eq!(completion(" f(x):\n    return x\n```\nThis returns x."), "def  f(x):\n    return x\n");
/// ```
pub fn completion(model_text: &str) -> String {
    format!("def {}", before_fence(model_text))
}

/// The candidate's part of the program: the completion behind the prompt. A body goes on where the prompt ends; a whole
/// function takes the place of the prompt's.
pub fn solution(problem: &Problem, completion: &str) -> String {
    format!("{}{completion}", problem.prompt)
}

/// The program that is run where candidate and tests share a process.
pub fn program(problem: &Problem, completion: &str) -> String {
    let Problem {
        test, entry_point, ..
    } = problem;
    format!(
        "{}\n{test}\ncheck({entry_point})",
        solution(problem, completion)
    )
}

/// Grades what a model wrote behind the fence and `def`.
///
/// # Errors
///
/// Trouble with the machine, never with the answer.
pub fn grade(
    problem: &Problem,
    model_text: &str,
    rules: Rules,
    tests: &mut Interpreter,
    candidate: &mut Interpreter,
) -> Result<Grade> {
    judge(problem, &completion(model_text), rules, tests, candidate)
}

/// Grades a completion: the function's body, or the whole function.
///
/// # Errors
///
/// As [`grade`].
pub fn judge(
    problem: &Problem,
    completion: &str,
    rules: Rules,
    tests: &mut Interpreter,
    candidate: &mut Interpreter,
) -> Result<Grade> {
    let program = program(problem, completion);
    match rules {
        Rules::Authors => {
            let verdict = judge_together(candidate, &program, &[], TIME_LIMIT)?;
            Ok(graded(verdict, completion, TOGETHER))
        }
        Rules::Fixed => {
            let Problem {
                prompt,
                test,
                entry_point,
                ..
            } = problem;
            let asserts = AssertTests {
                // The prompt has helpers that tests use.
                code: format!("{prompt}\n{test}\ncheck({entry_point})"),
                entry_point: entry_point.clone(),
            };
            let solution = solution(problem, completion);
            let mut grade =
                judge_apart(tests, candidate, &solution, &asserts, &program, TIME_LIMIT)?;
            grade.extracted = Some(completion.to_owned());
            Ok(grade)
        }
    }
}
