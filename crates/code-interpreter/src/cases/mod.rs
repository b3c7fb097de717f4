//! A program against test cases: standard input in, standard output compared.
//!
//! The program runs in its process and its output is compared here, so it has no part in the verdict.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use code_interpreter::cases::{Case, CaseOptions, Outcome, run_cases, verdict};
//! use code_interpreter::{Interpreter, Limits, Python, Verdict};
//!
//! let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
//! let cases = [Case::new("1 2\n", "3"), Case::new("0.1 0.2\n", "0.3"), Case::new("one two\n", "3")];
//! let program = "print(sum(map(eval, input().split())))";
//! let results = run_cases(&mut interpreter, program, &cases, &CaseOptions::default())?;
//! assert_eq!(results[0].outcome, Outcome::Passed);
//! assert_eq!(results[1].outcome, Outcome::Passed);
//! assert!(matches!(&results[2].outcome, Outcome::RuntimeError { kind, .. } if kind == "NameError"));
//! let reason = "case 3: NameError: name 'one' is not defined";
//! assert_eq!(verdict(&results), Verdict::incorrect(reason));
//! # Ok(())
//! # }
//! ```

mod compare;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Cause, Interpreter, ProgramRun, Result, Status, Verdict};

pub use compare::{Comparison, Difference, FloatTolerance, WhiteSpace};

/// A test case: standard input for a program, and the output it should write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Its standard input.
    pub stdin: String,
    /// Its standard output.
    pub expected: String,
    /// Seconds of processor time, in place of [`Limits::cpu`](crate::Limits::cpu). The clock on the wall leaves it as much
    /// beyond that as [`Limits::wall`](crate::Limits::wall) leaves `cpu`, for a busy machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_seconds: Option<f64>,
    /// In place of [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

impl Case {
    /// A case under the limits of the interpreter.
    pub fn new(stdin: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            stdin: stdin.into(),
            expected: expected.into(),
            time_seconds: None,
            memory_bytes: None,
        }
    }
}

/// How cases are run and judged.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseOptions {
    /// When an output is the expected one.
    pub comparison: Comparison,
    /// Whether the first case that is not passed is the last one that is run. Default: no.
    pub stop_at_first_failure: bool,
}

/// How a program did on a case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It ended well and wrote what was expected.
    Passed,
    /// It ended well and wrote something else.
    WrongOutput(Difference),
    /// It ended by an exception, or by `sys.exit` with something other than 0.
    RuntimeError {
        /// The name of the exception's class, `SyntaxError` if the program is not Python.
        kind: String,
        /// Its text.
        message: String,
    },
    /// It imports a package that is not installed ([`Status::missing_module`]), which says nothing about it.
    MissingModule {
        /// The package.
        name: String,
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

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // How a program ended is said in the words of its status.
        let status = match self {
            Self::Passed => return f.write_str("passed"),
            Self::WrongOutput(difference) => return difference.fmt(f),
            Self::MissingModule { name } => {
                return write!(f, "the package `{name}` is not installed");
            }
            Self::RuntimeError { kind, message } => Status::Exception {
                kind: kind.clone(),
                message: message.clone(),
            },
            Self::TimedOut => Status::TimedOut,
            Self::OutOfMemory => Status::OutOfMemory,
            Self::OutputLimit => Status::OutputLimit,
            Self::Died { signal } => Status::Died { signal: *signal },
        };
        status.fmt(f)
    }
}

/// One case and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseResult {
    /// How it went.
    pub outcome: Outcome,
    /// The program's standard output.
    pub stdout: String,
    /// The program's standard error, with the traceback of an exception.
    pub stderr: String,
    /// Time by the clock.
    pub wall: Duration,
}

/// Runs `program` once per case, each time in a fresh process: one result per case, in order, or as many as are run up to
/// the first failure.
///
/// # Errors
///
/// A limit of a case that makes no sense; trouble with the machine, never with the program.
pub fn run_cases(
    interpreter: &mut Interpreter,
    program: &str,
    cases: &[Case],
    options: &CaseOptions,
) -> Result<Vec<CaseResult>> {
    let mut results = Vec::with_capacity(cases.len());
    for case in cases {
        let run = match interpreter
            .limits()
            .of_case(case.time_seconds, case.memory_bytes)?
        {
            None => interpreter.run_program(program, &case.stdin)?,
            Some(limits) => interpreter.under(&limits, |interpreter| {
                interpreter.run_program(program, &case.stdin)
            })?,
        };
        let result = judge(run, &case.expected, &options.comparison);
        let failed = result.outcome != Outcome::Passed;
        results.push(result);
        if failed && options.stop_at_first_failure {
            break;
        }
    }
    Ok(results)
}

/// The verdict that the cases add up to: that of the first which is not passed. Without cases there is none.
pub fn verdict(results: &[CaseResult]) -> Verdict {
    let failed = (1..)
        .zip(results)
        .find(|(_, result)| result.outcome != Outcome::Passed);
    match failed {
        None if results.is_empty() => Verdict::unjudged("there are no cases"),
        None => Verdict::Correct,
        Some((
            _,
            CaseResult {
                outcome: Outcome::MissingModule { name },
                ..
            },
        )) => Verdict::without_module(name),
        Some((number, result)) => {
            let cause = match result.outcome {
                Outcome::TimedOut => Cause::TimedOut,
                _ => Cause::Failed,
            };
            Verdict::incorrect(format!("case {number}: {}", result.outcome)).because(cause)
        }
    }
}

fn judge(run: ProgramRun, expected: &str, comparison: &Comparison) -> CaseResult {
    let missing = run.missing_module().map(str::to_owned);
    let outcome = match run.status {
        Status::Ok => comparison
            .difference(expected, &run.stdout)
            .map_or(Outcome::Passed, Outcome::WrongOutput),
        Status::Exception { kind, message } => match missing {
            Some(name) => Outcome::MissingModule { name },
            None => Outcome::RuntimeError { kind, message },
        },
        Status::TimedOut => Outcome::TimedOut,
        Status::OutOfMemory => Outcome::OutOfMemory,
        Status::OutputLimit => Outcome::OutputLimit,
        Status::Died { signal } => Outcome::Died { signal },
        Status::Stopped | Status::NotRun => Outcome::Died { signal: None },
    };
    CaseResult {
        outcome,
        stdout: run.stdout,
        stderr: run.stderr,
        wall: run.wall,
    }
}
