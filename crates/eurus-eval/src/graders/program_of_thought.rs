//! Program-of-thought: the answer is what the model's program prints.
//!
//! Programs stand in closed fences, whose tags are case-sensitive, and in `<execute>` elements. Each runs on its own as a
//! whole program, with 5 s; its last line is printed if it prints nothing itself. Only the last one counts: it is the one
//! that is run. A completion without a program is its own answer.
//!
//! | what | released code | here, under both rules |
//! | --- | --- | --- |
//! | answers of many problems | in the order in which programs end, so that they meet other problems' gold answers | in the order of the completions |
//! | a package that is not installed | an empty answer | unjudged, and named |
//!
//! Packages are found by [`Python::with_site_packages`](code_interpreter::Python::with_site_packages).

use std::time::Duration;

use code_interpreter::{Cause, Interpreter, Pool, Result, Status};

use super::Grade;
use super::python::{enclosed, timed};

/// The time that a program has.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What is to be graded as the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the last program printed, trimmed; nothing if it did not end well. The completion itself if it has no program.
    pub text: String,
    /// How the last program ended; nothing if there is none.
    pub ended: Option<Status>,
}

/// The programs of a completion, in the order in which they count: those of bash, which are no Python, those of Python, and
/// executed ones.
pub fn programs(completion: &str) -> Vec<String> {
    let bash = enclosed(completion, "```bash", "```")
        .into_iter()
        .filter(|commands| !commands.contains('!'))
        .map(|commands| format!("!{commands}"));
    let python = enclosed(completion, "```python", "```");
    let executed = enclosed(completion, "<execute>", "</execute>");
    let other = python.into_iter().chain(executed);
    bash.chain(other.map(printing)).collect()
}

/// The program whose last line is printed if it does not print.
fn printing(program: &str) -> String {
    let program = program.trim();
    let (before, last) = match program.rsplit_once('\n') {
        Some((before, last)) => (format!("{before}\n"), last),
        None => (String::new(), program),
    };
    match last.contains("print(") {
        true => program.to_owned(),
        false => format!("{before}print({last})"),
    }
}

/// The text that is the answer of a completion.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use code_interpreter::{Interpreter, Limits, Python};
/// use eurus_eval::graders::program_of_thought::answer;
///
/// let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
/// let completion = "Two plus three:\n```python\nx = 2\nx + 3\n```";
/// assert_eq!(answer(completion, &mut interpreter)?.text, "5");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Trouble with the machine, never with the program.
pub fn answer(completion: &str, interpreter: &mut Interpreter) -> Result<Answer> {
    let completion = completion.trim();
    let Some(program) = programs(completion).pop() else {
        return Ok(Answer {
            text: completion.to_owned(),
            ended: None,
        });
    };
    let limits = timed(interpreter, TIME_LIMIT);
    let run = interpreter.under(&limits, |interpreter| interpreter.run_program(&program, ""))?;
    let text = match run.status {
        Status::Ok => run.stdout.trim().to_owned(),
        _ => String::new(),
    };
    Ok(Answer {
        text,
        ended: Some(run.status),
    })
}

/// The answers of many completions, in their order.
///
/// # Errors
///
/// As [`answer`].
pub fn answers<S: AsRef<str> + Sync>(completions: &[S], pool: &Pool) -> Result<Vec<Answer>> {
    pool.map(completions, |interpreter, completion| {
        answer(completion.as_ref(), interpreter)
    })
}

impl Answer {
    /// The grade that `of_text` gives to the text; unjudged where the program needs a package that is not installed. A wrong one
    /// has timed out where the program has.
    pub fn grade(&self, of_text: impl FnOnce(&str) -> Grade) -> Grade {
        match self.ended.as_ref().and_then(Status::missing_module) {
            None => {
                let grade = of_text(&self.text);
                let cause = self.ended.as_ref().map(Cause::of).unwrap_or_default();
                Grade {
                    verdict: grade.verdict.because(cause),
                    ..grade
                }
            }
            Some(name) => Grade::unjudged(format!(
                "the program needs the package `{name}`, which is not installed"
            )),
        }
    }
}
