//! Runs of model-written Python that end in a verdict.

use std::time::Duration;

use code_interpreter::asserts::{self, AssertTests};
use code_interpreter::{Cause, Interpreter, Limits, Result, Status, Verdict};

use super::Grade;

const GUARDED: &str = include_str!("guarded.py");

/// The text up to the first fence.
pub(super) fn before_fence(text: &str) -> &str {
    text.split_once("```").map_or(text, |(before, _)| before)
}

/// What stands between each `open` and the next `close`, in order.
pub(super) fn enclosed<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(open) {
        let Some((inside, after)) = after.split_once(close) else {
            break;
        };
        found.push(inside);
        rest = after;
    }
    found
}

/// Text as a literal of Python: JSON's is one.
pub(super) fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The limits of an interpreter with another limit of time by the clock, and none of processor time that matters.
pub(super) fn timed(interpreter: &Interpreter, wall: Duration) -> Limits {
    Limits {
        wall,
        cpu: wall * 32,
        ..interpreter.limits().clone()
    }
}

/// Runs a program to its end in one process, as the released runner of HumanEval does: any exception fails, `SystemExit`
/// and `KeyboardInterrupt` included; standard input cannot be read; what ends, starts or removes is shut off.
///
/// `imported` are modules that the program imports and that cannot be imported once all this is shut off.
pub(super) fn judge_together(
    interpreter: &mut Interpreter,
    program: &str,
    imported: &[&str],
    wall: Duration,
) -> Result<Verdict> {
    let cell = format!(
        "{GUARDED}\nrun({}, {})",
        literal(program),
        serde_json::Value::from(imported)
    );
    let limits = timed(interpreter, wall);
    let shown = interpreter.under(&limits, |interpreter| interpreter.run(&[cell]))?;
    let status = shown
        .into_iter()
        .next()
        .map_or(Status::NotRun, |cell| cell.status);
    Ok(verdict(&status))
}

/// The verdict on a program that should have ended well.
pub(super) fn verdict(status: &Status) -> Verdict {
    match (status, status.missing_module()) {
        (Status::Ok, _) => Verdict::Correct,
        (_, Some(name)) => Verdict::Unjudged {
            reason: format!("the solution needs the package `{name}`, which is not installed"),
        },
        _ => Verdict::incorrect(status.to_string()).because(Cause::of(status)),
    }
}

/// Limits by the processor's time: how busy the machine is decides nothing.
fn computing(interpreter: &Interpreter, cpu: Duration) -> Limits {
    Limits {
        wall: cpu * 3,
        cpu,
        ..interpreter.limits().clone()
    }
}

/// Judges a solution by tests that run in a process of their own; where these cannot be asked from there, by `program` in
/// one process. Each process has `cpu` of the processor's time.
pub(super) fn judge_apart(
    tests: &mut Interpreter,
    candidate: &mut Interpreter,
    solution: &str,
    asserts: &AssertTests,
    program: &str,
    cpu: Duration,
) -> Result<Grade> {
    let (theirs, its) = (computing(tests, cpu), computing(candidate, cpu));
    let apart = tests.under(&theirs, |tests| {
        candidate.under(&its, |candidate| {
            asserts::judge(tests, candidate, solution, asserts)
        })
    })?;
    if !matches!(apart.verdict, Verdict::Unjudged { .. }) {
        return Ok(grade(apart.verdict, solution, APART));
    }
    let shown = candidate.under(&its, |candidate| {
        candidate.run(&[format!("{program}\npass")])
    })?;
    let status = shown.first().map_or(&Status::NotRun, |cell| &cell.status);
    Ok(grade(verdict(status), solution, TOGETHER))
}

/// The tests are out of the candidate's reach.
const APART: &str = "tests in a process of their own";
/// A candidate that means to can pass any tests.
pub(super) const TOGETHER: &str = "candidate and tests in one process";

/// The grade of a program, with how it was come by.
pub(super) fn grade(verdict: Verdict, extracted: &str, how: &str) -> Grade {
    let why = format!("{how}: {verdict}");
    Grade::of(verdict, Some(extracted.to_owned()), why)
}
