//! Solutions that are judged as they are written: numbers, texts and choices.

use std::collections::BTreeMap;

use answer_equality::{Tolerance, equal};

use super::Numbers;
use crate::graders::{Grade, Rules};

/// What a number may be off by, as a share of the right one.
const TOLERANCE: f64 = 0.05;

/// A number or a text.
pub(super) fn reasoning(solution: &str, reference: &str, numbers: Numbers, rules: Rules) -> Grade {
    let answer = solution.trim().to_lowercase();
    let (is_correct, why) = match rules {
        Rules::Authors => loosely(&answer, &reference.trim().to_lowercase(), numbers),
        Rules::Fixed => exactly(solution.trim(), reference),
    };
    Grade::new(is_correct, Some(answer), why)
}

/// Near, if both are numbers; else the reference is somewhere in the answer.
fn loosely(answer: &str, reference: &str, numbers: Numbers) -> (bool, &'static str) {
    let number = |text: &str| match numbers {
        Numbers::Unsigned if text.starts_with(['-', '+']) => None,
        _ => text.parse::<f64>().ok(),
    };
    match (number(answer), number(reference)) {
        (Some(given), Some(right)) => (
            (given - right).abs() <= TOLERANCE * right.abs(),
            "numbers within 5 %",
        ),
        _ => (answer.contains(reference), "the reference in the solution"),
    }
}

fn exactly(answer: &str, reference: &str) -> (bool, &'static str) {
    (
        equal(answer, reference, &Tolerance::default()),
        "equal answers",
    )
}

/// A letter or the text of its option.
pub(super) fn multiple_choice(
    solution: &str,
    reference: &str,
    options: &BTreeMap<String, String>,
    rules: Rules,
) -> Grade {
    let answer = solution.trim().to_lowercase();
    let right = options.get(reference).map(String::as_str);
    let (answer, is_correct, why) = match rules {
        Rules::Authors => {
            let answer = match answer.contains("a)") {
                true => "a".to_owned(),
                false => answer,
            };
            let says = |text: &str| loosely(&answer, text, Numbers::Signed).0;
            let is_text = right.is_some_and(|right| {
                let others = others(options, right);
                let says_other = |other: &&str| says(other) || answer.contains(*other);
                !others.iter().any(says_other) && says(right)
            });
            let is_correct = says(reference) || is_text;
            (answer, is_correct, "the letter or its option")
        }
        Rules::Fixed => {
            let letter = options
                .keys()
                .find(|letter| is_marked(&answer, letter))
                .cloned();
            let is_correct = match &letter {
                Some(letter) => letter == reference,
                None => right.is_some_and(|right| exactly(&answer, right).0),
            };
            let answer = letter.unwrap_or(answer);
            (answer, is_correct, "the letter or the text of its option")
        }
    };
    Grade::new(is_correct, Some(answer), why)
}

/// The options that must not stand in the solution: those that are no part of the right one. The benchmark drops the others
/// from the list while it goes through it, and so passes over the one behind each: what is dropped last may be the right one.
fn others<'a>(options: &'a BTreeMap<String, String>, right: &str) -> Vec<&'a str> {
    let mut others: Vec<&str> = options.values().map(String::as_str).collect();
    let mut at = 0;
    while let Some(other) = others.get(at) {
        if right.contains(other) {
            others.remove(at);
        }
        at += 1;
    }
    others
}

/// Whether the answer is a letter, or begins with it and a bracket or a point: `b`, `(b)`, `b) text`, `b. text`.
fn is_marked(answer: &str, letter: &str) -> bool {
    let answer = answer.trim_start_matches('(').trim_start();
    let Some(rest) = answer.strip_prefix(letter) else {
        return false;
    };
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with([')', '.', ':'])
}

/// The options of an MMLU prompt: `Options: A ) 60% , B ) 75%`. A text ends at its first closing bracket, as the
/// benchmark reads it.
///
/// ```
/// use eurus_eval::graders::mint::options;
///
/// let options = options("How many?\nOptions: A ) 5 , B ) 1,200");
/// assert_eq!(options["b"], "1,200");
/// ```
pub fn options(prompt: &str) -> BTreeMap<String, String> {
    let listed = prompt
        .rsplit_once("Options: ")
        .map_or(prompt, |(_, listed)| listed);
    let read = listed.split(" , ").filter_map(|option| {
        let (letter, rest) = option.split_once(')')?;
        let text = rest.split(')').next().unwrap_or_default().to_lowercase();
        let text = text.trim().trim_matches('.').trim();
        Some((letter.trim().to_lowercase(), text.to_owned()))
    });
    read.collect()
}

/// Whether the prompt does not show the options: all are numbers.
pub fn hides_options(options: &BTreeMap<String, String>) -> bool {
    options.values().all(|text| text.parse::<f64>().is_ok())
}
