//! A solution against assert tests, in a process of its own.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use code_interpreter::asserts::{AssertTests, judge};
//! use code_interpreter::{Interpreter, Limits, Python, Verdict};
//!
//! let python = Python::find()?;
//! let mut tests = Interpreter::start(&python, Limits::default())?;
//! let mut candidate = Interpreter::start(&python, Limits::default())?;
//! let asserts = AssertTests {
//!     code: "assert double(2) == 4\nassert double('a') == 'aa'".into(),
//!     entry_point: "double".into(),
//! };
//! let result = judge(&mut tests, &mut candidate, "def double(x):\n    return x + x", &asserts)?;
//! assert_eq!(result.verdict, Verdict::Correct);
//!
//! let cheat = "class Same:\n    def __eq__(self, other):\n        return True\ndef double(x):\n    return Same()";
//! let result = judge(&mut tests, &mut candidate, cheat, &asserts)?;
//! assert!(matches!(result.verdict, Verdict::Unjudged { .. }));
//! # Ok(())
//! # }
//! ```
//!
//! # How
//!
//! The tests run in one interpreter, the solution in another. In the tests' process the entry point is a stand-in: a call of
//! it goes out as data, is made in the candidate's process, and what it returns comes back as data. The candidate's process
//! gets the arguments, one call after the other, and the names of helpers that the tests do not define; it has neither the
//! tests nor what they expect, and none of its code is ever where they run.
//!
//! **What crosses**, by exact type and never by subclass: `None`, `bool`, `int`, `float`, `complex`, `str`, `bytes`,
//! `bytearray`, `list`, `tuple`, `set`, `frozenset`, `dict` and its views, `range`, `slice`, `Decimal`, `Fraction`, `date`,
//! `time`, `datetime`, `timedelta`, `timezone`, `Counter`, `OrderedDict`, `deque`, `defaultdict` with a plain factory.
//! Mutable objects keep their identity: what the candidate changes in an argument is changed in the tests, an argument that
//! is returned is the argument, and a list that contains itself does so on the other side. An iterator of Python's own
//! (a generator, `map`, `zip`, ...) crosses as an iterator over at most 10,000 items, which are computed at once. All else is
//! [`Verdict::Unjudged`], with its type; so is a call of more than 16 MiB.
//!
//! **Exceptions** cross as the builtin class that they are or come from, with their arguments where these are plain. A
//! `StopIteration` crosses as a `RuntimeError`, as from a generator: a test that maps the function over its cases would take
//! it for the end of them.
//!
//! **Names** that the tests use and nobody defines there: a module of the standard library is imported, anything else comes
//! from the candidate, a function as a stand-in and plain data as it is. Python's own functions are never the candidate's,
//! except for the entry point itself. A definition of the entry point in the tests (the stub that a problem gives) is left out.
//!
//! **Time**: each process has [`Limits::wall`](crate::Limits::wall) for all it does, and the clock of one stands still while
//! the other works.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::wire::Module;
use crate::{CallReply, Cause, Error, Execution, Interpreter, Result, Status, Verdict, missing};

const CANDIDATE: Module = (
    "_judged_candidate",
    concat!(include_str!("values.py"), include_str!("candidate.py")),
);
const TESTS: Module = (
    "_judging_tests",
    concat!(include_str!("values.py"), include_str!("tests.py")),
);
const SERVE: &str = "__import__('_judged_candidate').serve(call_out)";
const JUDGE: &str = "__import__('_judging_tests').judge(call_out)";
const DOING: &str = "judging a solution by assert tests";
const NOT_AN_ANSWER: &str = "its process answered something that is no answer";

/// Tests that call a function and assert what it returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssertTests {
    /// Python code that ends well if the solution is right: `assert f(1) == 2`, or a `check(candidate)` with its call.
    /// Helpers of the problem belong in here too, so that the solution cannot replace them.
    pub code: String,
    /// The name of the function that the solution defines and the tests call.
    pub entry_point: String,
}

/// The verdict on one solution.
#[derive(Debug, Clone, PartialEq)]
pub struct AssertResult {
    /// The judgement.
    pub verdict: Verdict,
    /// Solution and tests shared a process, so that the solution could have had its way with the tests. A verdict of
    /// [`judge`] is not of this kind, one of [`judge_in_one_process`] is.
    pub one_process: bool,
    /// The questions that the tests asked the candidate's process.
    pub calls: usize,
    /// Time by the clock.
    pub wall: Duration,
}

/// Judges `solution` by `asserts`, each in its own interpreter.
///
/// # Errors
///
/// Trouble with the machine, never with the solution.
pub fn judge(
    tests: &mut Interpreter,
    candidate: &mut Interpreter,
    solution: &str,
    asserts: &AssertTests,
) -> Result<AssertResult> {
    let began = Instant::now();
    let (requests, inbox) = mpsc::channel();
    let (outbox, answers) = mpsc::channel();
    thread::scope(|scope| {
        thread::Builder::new()
            .spawn_scoped(scope, move || serve(candidate, &inbox, &outbox))
            .map_err(|error| Error::no_thread(DOING, &error))?;
        // Dropped at the end of this closure, which ends the candidate's process and so the thread.
        let mut peer = Peer {
            requests,
            answers,
            calls: 0,
            cause: Cause::default(),
            trouble: None,
        };
        let verdict = match peer.load(solution) {
            Some(verdict) => verdict,
            None => run_tests(tests, &mut peer, asserts)?,
        };
        match peer.trouble {
            Some(error) => Err(error),
            None => Ok(AssertResult {
                verdict: verdict.because(peer.cause),
                one_process: false,
                calls: peer.calls,
                wall: began.elapsed(),
            }),
        }
    })
}

/// Judges as the authors of HumanEval and MBPP did, for figures that are to be compared with theirs: the solution runs in
/// one process with the tests, before them and with the same variables. A solution that means to can pass any tests here.
///
/// # Errors
///
/// As [`judge`].
pub fn judge_in_one_process(
    interpreter: &mut Interpreter,
    solution: &str,
    asserts: &AssertTests,
) -> Result<AssertResult> {
    let began = Instant::now();
    let AssertTests { code, entry_point } = asserts;
    // Of JSON, text is Python too.
    let tests = serde_json::to_string(&(code, entry_point)).map_err(|error| Error::Driver {
        doing: DOING,
        message: error.to_string(),
    })?;
    let tests = format!("exec(__import__('{}').compiled(*{tests}))", TESTS.0);
    // It has nobody to call.
    let mut stop = |_: &str| CallReply::Stop;
    let shown = interpreter.run_with_modules(&[solution, &tests], &[TESTS], &mut stop)?;
    let failed = shown.iter().find(|cell| cell.status != Status::Ok);
    let verdict = match failed {
        None => Verdict::Correct,
        Some(cell) => match cell.missing_module() {
            Some(name) => Verdict::without_module(name),
            None => Verdict::incorrect(cell.status.to_string()).because(Cause::of(&cell.status)),
        },
    };
    Ok(AssertResult {
        verdict,
        one_process: true,
        calls: 0,
        wall: began.elapsed(),
    })
}

/// A line of the candidate's process, or its end.
enum Answer {
    Line(String),
    Ended(Result<Vec<Execution>>),
}

/// The candidate's side: every call of its process hands over an answer and waits for the next request.
fn serve(candidate: &mut Interpreter, inbox: &Receiver<String>, outbox: &Sender<Answer>) {
    let mut on_call = |line: &str| {
        if outbox.send(Answer::Line(line.to_owned())).is_err() {
            return CallReply::Stop;
        }
        inbox.recv().map_or(CallReply::Stop, CallReply::Text)
    };
    let end = candidate.run_with_modules(&[SERVE], &[CANDIDATE], &mut on_call);
    // Nobody listens if the verdict stands.
    let _ = outbox.send(Answer::Ended(end));
}

/// The candidate's process as the tests see it.
struct Peer {
    requests: Sender<String>,
    answers: Receiver<Answer>,
    calls: usize,
    /// The end of the process, where it came too soon.
    cause: Cause,
    /// What the machine did to the candidate's run.
    trouble: Option<Error>,
}

#[derive(Deserialize)]
struct Loaded {
    error: Option<Raised>,
}

#[derive(Deserialize)]
struct Raised {
    own: String,
    message: String,
}

impl Peer {
    /// Has the solution loaded; a verdict if that fails.
    fn load(&mut self, solution: &str) -> Option<Verdict> {
        let source = match serde_json::to_string(solution) {
            Ok(source) => source,
            Err(error) => return Some(Verdict::unjudged(error.to_string())),
        };
        let answer = match self
            .next()
            .and_then(|_| self.ask(&format!("load {source}")))
        {
            Ok(answer) => answer,
            Err(end) => return Some(Verdict::incorrect(end)),
        };
        let raised = match serde_json::from_str(&answer) {
            Ok(Loaded { error: None }) => return None,
            Ok(Loaded { error: Some(error) }) => error,
            Err(_) => return Some(Verdict::incorrect(NOT_AN_ANSWER)),
        };
        let Raised { own, message } = raised;
        Some(match missing::named(&message) {
            Some(name) if own == "ModuleNotFoundError" => Verdict::without_module(name),
            _ => Verdict::incorrect(format!("it does not load: {own}: {message}")),
        })
    }

    /// An answer to `request`, or how the process ended.
    fn ask(&mut self, request: &str) -> std::result::Result<String, String> {
        // If the process has ended, its last answer says so.
        let _ = self.requests.send(request.to_owned());
        self.calls += 1;
        self.next()
    }

    fn next(&mut self) -> std::result::Result<String, String> {
        let end = match self.answers.recv() {
            Ok(Answer::Line(line)) => return Ok(line),
            Ok(Answer::Ended(Ok(shown))) => shown.into_iter().next().map(|cell| cell.status),
            Ok(Answer::Ended(Err(error))) => {
                self.trouble = Some(error);
                None
            }
            Err(mpsc::RecvError) => None,
        };
        Err(match end {
            None | Some(Status::Ok | Status::Stopped | Status::NotRun) => {
                "its process ended".into()
            }
            Some(status) => {
                self.cause = Cause::of(&status);
                status.to_string()
            }
        })
    }
}

/// What the tests' process says at its end.
#[derive(Deserialize)]
struct Spoken {
    verdict: Word,
    reason: String,
    /// The text of the first `ModuleNotFoundError` of the candidate's.
    missing: Option<String>,
    /// The candidate answered a call of its entry point.
    called: bool,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Word {
    Correct,
    Incorrect,
    Unjudged,
}

fn run_tests(tests: &mut Interpreter, peer: &mut Peer, asserts: &AssertTests) -> Result<Verdict> {
    let AssertTests { code, entry_point } = asserts;
    let mut spoken: Option<String> = None;
    let mut on_call = |text: &str| match text.split_once(' ') {
        None => {
            serde_json::to_string(&(code, entry_point)).map_or(CallReply::Stop, CallReply::Text)
        }
        Some(("verdict", verdict)) => {
            spoken = Some(verdict.to_owned());
            CallReply::Stop
        }
        Some(_) => CallReply::Text(match peer.ask(text) {
            Ok(answer) => format!("answer {answer}"),
            Err(end) => format!("ended {end}"),
        }),
    };
    let shown = tests.run_with_modules(&[JUDGE], &[TESTS], &mut on_call)?;
    let Some(Spoken {
        verdict,
        reason,
        missing,
        called,
    }) = spoken.and_then(|text| serde_json::from_str(&text).ok())
    else {
        let end = shown.first().map(|cell| cell.status.to_string());
        let end = end.unwrap_or_default();
        return Ok(Verdict::unjudged(format!("the tests did not end: {end}")));
    };
    if let Some(name) = missing.as_deref().and_then(missing::named) {
        return Ok(Verdict::without_module(name));
    }
    Ok(match verdict {
        Word::Incorrect => Verdict::incorrect(reason),
        Word::Unjudged => Verdict::unjudged(reason),
        Word::Correct if called => Verdict::Correct,
        Word::Correct => Verdict::unjudged(format!("the tests never call `{entry_point}`")),
    })
}
