//! What an action comes to, by each kind of gold.

use std::time::Duration;

use answer_equality::{Tolerance, equal, extract, extract_shown};
use code_interpreter::asserts::AssertTests;
use code_interpreter::cases::{self, Case, CaseOptions, run_cases};
use code_interpreter::{Execution, Interpreter, Status, Verdict as CodeVerdict};
use ultrainteract::Verdict;
use ultrainteract::action_text::{dedent, python_blocks};

use super::{Attempt, Outcome};
use crate::problem::letter;
use crate::{Gold, IoTest};

/// The code of an action, block by block.
pub(super) fn cells(action: &str) -> Vec<String> {
    python_blocks(action)
        .into_iter()
        .map(|block| dedent(block).into_owned())
        .collect()
}

/// An action that has shown its answer in its text or by its code.
pub(super) fn by_answer(
    attempt: &Attempt<'_>,
    execution: Option<Execution>,
    tolerance: &Tolerance,
) -> Outcome {
    let answer = match &execution {
        None => extract(attempt.action),
        Some(execution) if execution.status == Status::Ok => extract_shown(&execution.output),
        Some(_) => None,
    };
    let missing = execution.as_ref().and_then(Execution::missing_module);
    let verdict = match (&attempt.problem.gold, &answer) {
        // Whether it would have been right nobody knows.
        _ if missing.is_some() => Verdict::Unjudged,
        (Gold::Answer(truth), Some(answer)) => verdict(equal(answer, truth, tolerance)),
        (
            Gold::Choice {
                choices,
                answer: truth,
            },
            Some(answer),
        ) => verdict(is_choice(answer, choices, *truth, tolerance)),
        (Gold::Answer(_) | Gold::Choice { .. }, None) => Verdict::Incorrect,
        _ => Verdict::Unjudged,
    };
    Outcome {
        verdict,
        answer,
        execution,
    }
}

/// The program of an action, which is its last block, against inputs and outputs.
pub(super) fn by_tests(
    interpreter: &mut Interpreter,
    attempt: &Attempt<'_>,
    tests: &[IoTest],
) -> code_interpreter::Result<Outcome> {
    let Some(program) = cells(attempt.action).pop() else {
        return Ok(without_program());
    };
    let cases: Vec<Case> = tests.iter().map(case).collect();
    let options = CaseOptions {
        stop_at_first_failure: true,
        ..CaseOptions::default()
    };
    let results = run_cases(interpreter, &program, &cases, &options)?;
    let wall = results.iter().map(|result| result.wall).sum();
    Ok(judged(cases::verdict(&results), wall))
}

fn case(test: &IoTest) -> Case {
    Case {
        time_seconds: test.time_limit_ms.map(|ms| ms as f64 / 1e3),
        memory_bytes: test.memory_limit_bytes,
        ..Case::new(&test.input, &test.output)
    }
}

/// The program of an action, which is its last block, against assert tests in another process.
pub(super) fn by_asserts(
    tests: &mut Interpreter,
    candidate: &mut Interpreter,
    attempt: &Attempt<'_>,
    asserts: &AssertTests,
) -> code_interpreter::Result<Outcome> {
    let Some(program) = cells(attempt.action).pop() else {
        return Ok(without_program());
    };
    let result = code_interpreter::asserts::judge(tests, candidate, &program, asserts)?;
    Ok(judged(result.verdict, result.wall))
}

fn without_program() -> Outcome {
    Outcome {
        verdict: Verdict::Incorrect,
        answer: None,
        execution: None,
    }
}

/// What the tests say, as the output of the program.
fn judged(verdict: CodeVerdict, wall: Duration) -> Outcome {
    let (verdict, output) = match verdict {
        CodeVerdict::Correct => (Verdict::Correct, "All tests pass.".to_owned()),
        CodeVerdict::Incorrect { reason, .. } => (Verdict::Incorrect, reason),
        CodeVerdict::Unjudged { reason } => (Verdict::Unjudged, reason),
    };
    Outcome {
        verdict,
        answer: None,
        execution: Some(Execution {
            output,
            status: Status::Ok,
            truncated: false,
            wall,
        }),
    }
}

fn verdict(is_correct: bool) -> Verdict {
    match is_correct {
        true => Verdict::Correct,
        false => Verdict::Incorrect,
    }
}

/// Whether an answer names the right choice: by its letter, or by its text.
fn is_choice(answer: &str, choices: &[String], truth: usize, tolerance: &Tolerance) -> bool {
    let bare = answer.trim().trim_matches(['(', ')', '.', ':', ' ']);
    let mut characters = bare.chars();
    let by_letter = match (characters.next(), characters.next()) {
        (Some(only), None) => {
            let only = Some(only.to_ascii_uppercase());
            (0..choices.len()).find(|&choice| letter(choice) == only)
        }
        _ => None,
    };
    match by_letter {
        Some(choice) => choice == truth,
        None => choices
            .get(truth)
            .is_some_and(|choice| equal(answer, choice, tolerance)),
    }
}
