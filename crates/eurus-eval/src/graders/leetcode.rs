//! LeetCode contest problems: a class `Solution`, whose method the tests call with keyword arguments.
//!
//! The driver begins the answer with a fence, so that the model's text is code up to the fence that closes it.
//!
//! | what | [`Rules::Authors`] | [`Rules::Fixed`] |
//! | --- | --- | --- |
//! | text with several fences | the first complete fenced block of what the model wrote: a usage example *behind* the answer takes its place | the first piece that defines `Solution`, beginning with the text up to the first fence |
//! | where the tests run | in the candidate's process | in a process of their own, unless objects do not cross (linked lists) |
//! | time | 10 s by the clock | 10 s of the processor's for each process |
//! | numpy is not installed | unjudged, if the answer names it | the same |
//!
//! Programs begin with the imports that the authors put before them ([`PREAMBLE`]) and otherwise run as those of
//! [`human_eval`](super::human_eval). numpy is imported where the answer names it: without that the imports of every program
//! would take longer than the program.

use std::time::Duration;

use code_interpreter::asserts::AssertTests;
use code_interpreter::{Interpreter, Result};
use serde::{Deserialize, Serialize};

use super::python::{
    TOGETHER, before_fence, enclosed, grade as graded, judge_apart, judge_together,
};
use super::{Grade, Rules};

/// The time that a program has.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The imports before each program, but for numpy's.
pub const PREAMBLE: &str = "import math\nimport re\nimport sys\nimport copy\nimport datetime\nimport itertools\n\
    import collections\nimport heapq\nimport functools\nimport hashlib\nimport string\nfrom typing import *\n\
    from collections import *\nfrom functools import *\n";
const NUMPY: &str = "import numpy\nimport numpy as np\n";

/// In the tests' process: calls go to the candidate's.
const STAND_IN: &str = "class Solution:\n    def __getattr__(self, method):\n        if method.startswith('_'):\n            \
    raise AttributeError(method)\n        return lambda *args, **kwargs: call_solution(method, args, kwargs)\n";
/// In the candidate's process.
const CALL_SOLUTION: &str = "\n\ndef call_solution(method, args, kwargs, made=[]):\n    if not made:\n        \
    made.append(Solution())\n    return getattr(made[0], method)(*args, **kwargs)\n";

/// A problem, by the fields of the published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its name, with the contest's.
    pub task_id: String,
    /// The statement and the class to be filled in, as a chat model is asked.
    #[serde(default)]
    pub prompt_sft: String,
    /// Makes a `Solution` and asserts what its method returns.
    pub test: String,
}

/// The code in what a model wrote behind the opening fence.
///
/// ```
/// use eurus_eval::graders::{Rules, leetcode::code};
///
/// let text = "class Solution:\n    pass\n```\nUsage:\n```python\nprint(Solution())\n```";
/// assert_eq!(code(text, Rules::Authors), "\nprint(Solution())\n");
/// assert_eq!(code(text, Rules::Fixed), "class Solution:\n    pass\n");
/// ```
pub fn code(model_text: &str, rules: Rules) -> &str {
    let first = before_fence(model_text);
    let of_python = enclosed(model_text, "```python", "```");
    let blocks = || enclosed(model_text, "```", "```");
    let defines = |piece: &&str| piece.contains("class Solution");
    let fixed = match rules {
        Rules::Authors => None,
        Rules::Fixed => [first]
            .into_iter()
            .chain(of_python.iter().copied())
            .chain(blocks())
            .find(defines),
    };
    fixed
        .or_else(|| of_python.first().copied())
        .or_else(|| blocks().first().copied())
        .unwrap_or(first)
}

/// The code in a text of a base model, which continues code and does not stop: between `[PYTHON]` marks, or up to the next
/// top-level statement that begins something else.
pub fn base_model_code(text: &str) -> &str {
    if let Some(marked) = enclosed(text, "[PYTHON]", "[/PYTHON]").first() {
        return marked.strip_prefix('\n').unwrap_or(marked).trim_end();
    }
    let ends = ["\ndef", "\nclass", "\nif", "\n#", "\nprint"];
    let end = ends.iter().filter_map(|end| text.find(end)).min();
    &text[..end.unwrap_or(text.len())]
}

/// Grades what a model wrote behind the opening fence.
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
    let code = code(model_text, rules);
    let (numpy, imported): (_, &[&str]) = match code.contains("np") || code.contains("numpy") {
        true => (NUMPY, &["numpy"]),
        false => ("", &[]),
    };
    let solution = format!("{PREAMBLE}{numpy}\n{code}");
    let test = &problem.test;
    let program = format!("{solution}\n{test}");
    match rules {
        Rules::Authors => {
            let verdict = judge_together(candidate, &program, imported, TIME_LIMIT)?;
            Ok(graded(verdict, code, TOGETHER))
        }
        Rules::Fixed => {
            let asserts = AssertTests {
                code: format!("{STAND_IN}\n{test}"),
                entry_point: "call_solution".to_owned(),
            };
            let served = solution + CALL_SOLUTION;
            let mut grade = judge_apart(tests, candidate, &served, &asserts, &program, TIME_LIMIT)?;
            grade.extracted = Some(code.to_owned());
            Ok(grade)
        }
    }
}
