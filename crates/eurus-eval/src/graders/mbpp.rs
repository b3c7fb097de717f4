//! MBPP: a function is written from a sentence and the first of its tests.
//!
//! The driver begins the answer with a fence and `def`, so that the model's text is what follows them.
//!
//! | what | [`Rules::Authors`] | [`Rules::Fixed`] |
//! | --- | --- | --- |
//! | name in the prompt ([`signature`]) | its first letters are lost where they are d, e or f: `find_char_long` is asked for as `ind_char_long` | `find_char_long` |
//! | `def` that was written for the model | put back unless `def` is anywhere in the text, so that a body with `default` in it stays headless | put back where the text goes on behind it |
//! | top-level lines that do not begin with `def` | dropped: `import math`, helper classes, tables, decorators | kept, unless the text is Python only without them |
//! | imports of the problem's tests | left out: 5 of the reference solutions fail for `math` in the tests alone | made |
//! | where the tests run | in the candidate's process, with the driver's modules in sight: `re`, `json`, `os`, `sys`, `time`, `pd` | in a process of their own, unless objects do not cross (what `re.match` returns) |
//! | verdict | three stages of 3 s: the function, the tests, both together; `os._exit` and a swallowed timeout fail | 10 s of the processor's time for each process: a reference solution takes almost three |
//!
//! The released driver runs all problems in one process, so that what one defines the next one finds (a function `sum`, for
//! one). Here each problem has a process of its own under both rules.

use std::time::Duration;

use code_interpreter::asserts::AssertTests;
use code_interpreter::{Execution, Interpreter, Result, Status, Verdict};
use serde::{Deserialize, Serialize};

use super::python::{
    TOGETHER, before_fence, enclosed, grade as graded, judge_apart, literal, timed, verdict,
};
use super::{Grade, Rules};

/// The time that each stage has.
pub const TIME_LIMIT: Duration = Duration::from_secs(3);

/// The processor time that each process has under fixed rules.
pub const FIXED_TIME_LIMIT: Duration = Duration::from_secs(10);

/// A problem, by the fields of the published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its number.
    pub task_id: u32,
    /// The sentence that says what is wanted.
    #[serde(default)]
    pub prompt: String,
    /// A right solution.
    pub code: String,
    /// Asserts.
    pub test_list: Vec<String>,
    /// Imports that the asserts need.
    #[serde(default)]
    pub test_imports: Vec<String>,
}

/// How the released driver ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All three stages went well.
    Pass,
    /// The function cannot be defined.
    FormatError,
    /// A test failed, or something was raised.
    ExecError,
    /// The driver's process ended with it.
    HarnessProcessDied,
    /// It went on after its time was over.
    HarnessHang,
}

/// The name and parameters that the prompt asks for, from the first function of the reference solution; nothing where it has
/// none that this can read.
///
/// ```
/// use eurus_eval::graders::{Rules, mbpp::signature};
///
/// let code = "def find_first(a,b) :\n    return a";
/// assert_eq!(signature(code, Rules::Authors).as_deref(), Some("ind_first(a, b)"));
/// assert_eq!(signature(code, Rules::Fixed).as_deref(), Some("find_first(a, b)"));
/// ```
pub fn signature(code: &str, rules: Rules) -> Option<String> {
    let line = code.lines().find(|line| line.starts_with("def "))?;
    let head = match rules {
        Rules::Authors => line.trim_start_matches(['d', 'e', 'f', ' ']),
        Rules::Fixed => line.strip_prefix("def ")?,
    };
    let head: String = head.chars().filter(|c| !c.is_whitespace()).collect();
    let head = head.trim_end_matches(':').replace(',', ", ");
    let is_read = rules == Rules::Fixed || !head.contains(':');
    is_read.then_some(head)
}

/// The program in a text that was cut at its stops.
///
/// ```
/// use eurus_eval::graders::{Rules, mbpp::program};
///
/// assert_eq!(program(" f(x):\n    return x\n", Rules::Authors), "def f(x):\n    return x");
/// let text = "import math\ndef f(x):\n    return math.pi";
/// assert_eq!(program(text, Rules::Authors), "def f(x):\n    return math.pi");
/// assert_eq!(program(text, Rules::Fixed), text);
/// ```
pub fn program(text: &str, rules: Rules) -> String {
    match rules {
        Rules::Authors if text.contains("def") => only_functions(text),
        Rules::Authors => only_functions(&format!("def{text}")),
        Rules::Fixed if goes_on_behind_def(text) => format!("def {}", text.trim_start()),
        Rules::Fixed => text.to_owned(),
    }
}

/// The lines of functions: those that are indented or begin with `def`.
fn only_functions(text: &str) -> String {
    let kept: Vec<&str> = text
        .split('\n')
        .filter(|line| line.starts_with("def") || line.starts_with(char::is_whitespace))
        .collect();
    kept.join("\n")
}

/// Whether the text begins with a name and its parameters.
fn goes_on_behind_def(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let text = text.trim_start_matches(' ');
    let rest = text.trim_start_matches(is_word);
    let name = &text[..text.len() - rest.len()];
    !name.is_empty() && rest.trim_start_matches(' ').starts_with('(')
}

/// The text up to the first fence; the first fenced block where nothing stands before it, under fixed rules.
fn cut(model_text: &str, rules: Rules) -> &str {
    let before = before_fence(model_text);
    if rules == Rules::Authors || !before.trim().is_empty() {
        return before;
    }
    let block = |open| enclosed(model_text, open, "```").first().copied();
    let found = block("```python").or_else(|| block("```"));
    found.map_or(before, |block| block.trim_start_matches('\n'))
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
    let text = cut(model_text, rules);
    match rules {
        Rules::Authors => {
            let (_, verdict) = evaluate(problem, text, candidate)?;
            Ok(graded(verdict, &program(text, rules), TOGETHER))
        }
        Rules::Fixed => judge_fixed(problem, text, tests, candidate),
    }
}

fn judge_fixed(
    problem: &Problem,
    text: &str,
    tests: &mut Interpreter,
    candidate: &mut Interpreter,
) -> Result<Grade> {
    let mut solution = program(text, Rules::Fixed);
    if candidate.check_syntax(&solution)?.is_err() {
        let functions = only_functions(&solution);
        if candidate.check_syntax(&functions)?.is_ok() {
            solution = functions;
        }
    }
    let lines: Vec<&str> = problem
        .test_imports
        .iter()
        .chain(&problem.test_list)
        .map(String::as_str)
        .collect();
    let asserts = AssertTests {
        code: lines.join("\n"),
        entry_point: entry_point(problem).to_owned(),
    };
    let program = format!("{solution}\n{}", asserts.code);
    judge_apart(
        tests,
        candidate,
        &solution,
        &asserts,
        &program,
        FIXED_TIME_LIMIT,
    )
}

/// The function that the tests call: the last of the reference solution's that the first test names.
pub fn entry_point(problem: &Problem) -> &str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let first = problem.test_list.first().map_or("", String::as_str);
    let is_called = |name: &&str| first.split(|c| !is_word(c)).any(|word| word == *name);
    let mut defined = problem.code.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("def ")?.split_once('(')?;
        Some(name.trim())
    });
    defined.rfind(is_called).unwrap_or_default()
}

/// How the released driver ends with a text that was cut at its stops, and the verdict on that.
///
/// # Errors
///
/// As [`grade`].
pub fn evaluate(
    problem: &Problem,
    text: &str,
    interpreter: &mut Interpreter,
) -> Result<(Outcome, Verdict)> {
    let function = program(text, Rules::Authors);
    let tests = problem.test_list.join("\n").replace("\\/", "/");
    let both = format!("{function}\n{tests}");
    let pandas = if function.contains("pd") {
        "\nimport pandas as pd"
    } else {
        ""
    };
    // What fails is not gone on with. The last cell is silent, so that it shows nothing of the candidate's.
    let cells = [
        format!("import json, os, re, sys, time{pandas}\n_stages = 1"),
        format!("exec({})\n_stages = 2", literal(&function)),
        format!(
            "if _stages == 2:\n    exec({})\n    _stages = 3",
            literal(&tests)
        ),
        format!("if _stages == 3:\n    exec({})", literal(&both)),
    ];
    let limits = timed(interpreter, TIME_LIMIT);
    let shown = interpreter.under(&limits, |interpreter| interpreter.run(&cells))?;
    Ok(judged(&shown))
}

fn judged(shown: &[Execution]) -> (Outcome, Verdict) {
    let Some(at) = shown.iter().position(|cell| cell.status != Status::Ok) else {
        return (Outcome::Pass, Verdict::Correct);
    };
    let status = &shown[at].status;
    let is_lost = shown
        .get(at + 1)
        .is_some_and(|next| next.status == Status::NotRun);
    let outcome = match status {
        Status::Died { .. } => Outcome::HarnessProcessDied,
        Status::TimedOut if is_lost => Outcome::HarnessHang,
        // The driver catches all else while a function is tested, and only an `Exception` while it is defined.
        Status::Exception { kind, .. } if at < 2 && is_no_exception(kind) => {
            Outcome::HarnessProcessDied
        }
        _ if at < 2 => Outcome::FormatError,
        _ => Outcome::ExecError,
    };
    (outcome, verdict(status))
}

fn is_no_exception(kind: &str) -> bool {
    ["SystemExit", "KeyboardInterrupt", "GeneratorExit"].contains(&kind)
}
