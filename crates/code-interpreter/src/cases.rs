//! A program against test cases: standard input in, standard output compared.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use code_interpreter::cases::{Case, Verdict, run_cases};
//! use code_interpreter::{Interpreter, Limits, Python};
//!
//! let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
//! let cases = [
//!     Case { stdin: "1 2\n".into(), expected: "3".into() },
//!     Case { stdin: "one two\n".into(), expected: "3".into() },
//! ];
//! let results = run_cases(&mut interpreter, "print(sum(map(int, input().split())))", &cases)?;
//! assert_eq!(results[0].verdict, Verdict::Passed);
//! assert!(matches!(&results[1].verdict, Verdict::RuntimeError { kind, .. } if kind == "ValueError"));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Interpreter, ProgramRun, Result, Status};

/// A test case: standard input for a program, and the output it should write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its standard input.
    pub stdin: String,
    /// Its standard output, up to white space ([`outputs_match`]).
    pub expected: String,
}

/// How a program did on a case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It ended well and wrote what was expected.
    Passed,
    /// It ended well and wrote something else.
    WrongAnswer,
    /// It ended by an exception, or by `sys.exit` with something other than 0.
    RuntimeError {
        /// The name of the exception's class, `SyntaxError` if the program is not Python.
        kind: String,
        /// Its text.
        message: String,
    },
    /// It reached the limit of wall-clock or processor time.
    TimedOut,
    /// It reached the memory limit.
    OutOfMemory,
    /// It wrote more than [`Limits::output_bytes`](crate::Limits::output_bytes).
    OutputLimit,
    /// Its process ended under it: a signal, or `os._exit`.
    Died {
        /// The signal, if it was one.
        signal: Option<i32>,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::WrongAnswer => f.write_str("wrong answer"),
            Self::RuntimeError { kind, message } if message.is_empty() => f.write_str(kind),
            Self::RuntimeError { kind, message } => write!(f, "{kind}: {message}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::OutputLimit => f.write_str("wrote too much"),
            Self::Died {
                signal: Some(signal),
            } => write!(f, "ended by signal {signal}"),
            Self::Died { signal: None } => f.write_str("its process ended"),
        }
    }
}

/// One case and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseResult {
    /// The judgement.
    pub verdict: Verdict,
    /// The program's standard output.
    pub stdout: String,
    /// The program's standard error, with the traceback of an exception.
    pub stderr: String,
    /// Time by the clock.
    pub wall: Duration,
}

/// Runs `program` once per case, each time in a fresh process: one result per case, in order.
///
/// # Errors
///
/// Trouble with the machine, never with the program.
pub fn run_cases(
    interpreter: &mut Interpreter,
    program: &str,
    cases: &[Case],
) -> Result<Vec<CaseResult>> {
    cases
        .iter()
        .map(|case| {
            Ok(judge(
                interpreter.run_program(program, &case.stdin)?,
                &case.expected,
            ))
        })
        .collect()
}

fn judge(run: ProgramRun, expected: &str) -> CaseResult {
    let verdict = match run.status {
        Status::Ok if outputs_match(&run.stdout, expected) => Verdict::Passed,
        Status::Ok => Verdict::WrongAnswer,
        Status::Exception { kind, message } => Verdict::RuntimeError { kind, message },
        Status::TimedOut => Verdict::TimedOut,
        Status::OutOfMemory => Verdict::OutOfMemory,
        Status::OutputLimit => Verdict::OutputLimit,
        Status::Died { signal } => Verdict::Died { signal },
        Status::Stopped | Status::NotRun => Verdict::Died { signal: None },
    };
    CaseResult {
        verdict,
        stdout: run.stdout,
        stderr: run.stderr,
        wall: run.wall,
    }
}

/// Whether two outputs are the same words in the same order, however they are spaced and broken into lines.
///
/// ```
/// use code_interpreter::cases::outputs_match;
///
/// assert!(outputs_match("1 2\n3\n", " 1  2 3"));
/// assert!(!outputs_match("12", "1 2"));
/// assert!(!outputs_match("1.0", "1"));
/// ```
pub fn outputs_match(actual: &str, expected: &str) -> bool {
    actual.split_whitespace().eq(expected.split_whitespace())
}
