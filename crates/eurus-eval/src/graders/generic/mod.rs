//! Graders for any task: an answer, or a part of it, against what is right.
//!
//! The right answer is a text or a number; a list of them is met by any one. `Rules` make no difference here.

mod extraction;

use code_interpreter::asserts::{AssertTests, judge, judge_in_one_process};
use code_interpreter::{Interpreter, Verdict};
use regex::Regex;
use serde_json::Value;

pub use extraction::Extraction;

use super::Grade;
use crate::Result;

/// Right answers as texts: one, or any of a list.
fn golds(gold: &Value) -> Vec<String> {
    match gold {
        Value::Array(list) => list.iter().flat_map(golds).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}

fn any(answer: &str, gold: &Value, why: &str, is_met: impl Fn(&str) -> bool) -> Grade {
    let met = golds(gold).iter().any(|gold| is_met(gold));
    Grade::new(met, Some(answer.to_owned()), why)
}

/// Right if the answer is the right one, letter by letter but for white space around it.
///
/// ```
/// use eurus_eval::graders::generic::exact;
///
/// assert!(exact(" Paris\n", &"Paris".into(), false).is_correct());
/// assert!(!exact("paris", &"Paris".into(), false).is_correct());
/// ```
pub fn exact(answer: &str, gold: &Value, ignore_case: bool) -> Grade {
    let answer = answer.trim();
    let folded = |text: &str| match ignore_case {
        true => text.trim().to_lowercase(),
        false => text.trim().to_owned(),
    };
    any(answer, gold, "the same text", |gold| {
        folded(gold) == folded(answer)
    })
}

/// Right if the right answer stands anywhere in it.
pub fn contains(answer: &str, gold: &Value, ignore_case: bool) -> Grade {
    let folded = |text: &str| match ignore_case {
        true => text.to_lowercase(),
        false => text.to_owned(),
    };
    let within = folded(answer);
    any(answer, gold, "the right answer is in it", |gold| {
        within.contains(&folded(gold.trim()))
    })
}

/// Right if it is matched by the right answer, which is a regular expression; it must match all where `whole`. An expression
/// that is none makes it unjudged.
pub fn regex(answer: &str, gold: &Value, whole: bool) -> Grade {
    let mut met = false;
    for pattern in golds(gold) {
        let pattern = match whole {
            true => format!("^(?:{pattern})$"),
            false => pattern,
        };
        match Regex::new(&pattern) {
            Ok(regex) => met |= regex.is_match(answer.trim()),
            Err(error) => {
                return Grade::unjudged(format!(
                    "the right answer is no regular expression: {error}"
                ));
            }
        }
    }
    Grade::new(met, Some(answer.to_owned()), "the expression matches")
}

/// Right if it is a number within a share `tolerance` of the right one.
///
/// ```
/// use eurus_eval::graders::generic::number;
///
/// assert!(number("$1,250", &1250.into(), 0.0).is_correct());
/// assert!(number("3.14", &"3.1416".into(), 1e-3).is_correct());
/// assert!(!number("3 or 4", &3.into(), 0.0).is_correct());
/// ```
pub fn number(answer: &str, gold: &Value, tolerance: f64) -> Grade {
    let Some(given) = answer_equality::parse_number(answer) else {
        return Grade::new(false, Some(answer.to_owned()), "it is no number");
    };
    any(answer, gold, "the same number", |gold| {
        let gold = answer_equality::parse_number(gold);
        gold.is_some_and(|gold| (given - gold).abs() <= tolerance * gold.abs())
    })
}

/// Right if it is equal to the right one as mathematics, by the rules with which trees are built.
pub fn equal(answer: &str, gold: &Value) -> Grade {
    let tolerance = answer_equality::Tolerance::exact();
    any(answer, gold, "equal as mathematics", |gold| {
        answer_equality::equal(answer, gold, &tolerance)
    })
}

/// Right if the one letter that it chooses is the right one's: a capital letter that stands alone, `A` and `I` in brackets or
/// before punctuation, for they are words; a small letter if it is all there is.
///
/// ```
/// use eurus_eval::graders::generic::choice;
///
/// for right in ["B", "(B) because ...", "The answer is B.", "b)"] {
///     assert!(choice(right, &"B".into()).is_correct(), "{right}");
/// }
/// for wrong in ["A or B.", "A", "Because", ""] {
///     assert!(!choice(wrong, &"B".into()).is_correct(), "{wrong}");
/// }
/// ```
pub fn choice(answer: &str, gold: &Value) -> Grade {
    let Some(given) = letter(answer) else {
        return Grade::new(false, None, "it chooses no single letter");
    };
    let met = golds(gold).iter().any(|gold| letter(gold) == Some(given));
    Grade::new(met, Some(given.to_string()), "the letter that it chooses")
}

/// The one letter that a text chooses.
fn letter(text: &str) -> Option<char> {
    let text = text.trim();
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    if bare.len() == 1 {
        let letter = bare.chars().next()?.to_ascii_uppercase();
        return letter.is_ascii_uppercase().then_some(letter);
    }
    let alone =
        Regex::new(r"[(\[]([A-Z])[)\]]|\b([B-HJ-Z])\b|\b([A-Z])(?:[.,:)]|$|\s+or\b)").ok()?;
    let mut letters = alone
        .captures_iter(text)
        .filter_map(|found| found.iter().flatten().nth(1)?.as_str().chars().next());
    let first = letters.next()?;
    letters.all(|letter| letter == first).then_some(first)
}

/// Right if asserts hold for the function that a program defines, which runs in a process of its own; without the function's
/// name, program and asserts share one.
///
/// # Errors
///
/// Trouble with the machine, never with the program.
pub fn python_asserts(
    program: &str,
    gold: &Value,
    entry_point: Option<&str>,
    tests: &mut Interpreter,
    candidate: &mut Interpreter,
) -> Result<Grade> {
    let asserts = AssertTests {
        code: golds(gold).join("\n"),
        entry_point: entry_point.unwrap_or_default().to_owned(),
    };
    let (result, why) = match entry_point {
        Some(_) => (
            judge(tests, candidate, program, &asserts)?,
            "the asserts, in another process than the program",
        ),
        None => (
            judge_in_one_process(candidate, program, &asserts)?,
            "the asserts, in the process of the program",
        ),
    };
    let why = match &result.verdict {
        Verdict::Correct => why.to_owned(),
        Verdict::Incorrect { reason, .. } | Verdict::Unjudged { reason } => reason.clone(),
    };
    Ok(Grade::of(result.verdict, Some(program.to_owned()), why))
}
