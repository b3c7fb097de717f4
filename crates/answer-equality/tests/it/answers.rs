//! Answers that are the same and answers that are not, and where they stand in a text.

use answer_equality::{Tolerance, equal, extract};
use serde::Deserialize;

fn answers_match(given: &str, truth: &str) -> bool {
    equal(given, truth, &Tolerance::default())
}

/// A line of a table of cases: an answer or a text, the truth, and whether the one says the other.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Case {
    Answer {
        given: String,
        truth: String,
        #[serde(alias = "should")]
        same: bool,
        kind: String,
    },
    Text {
        text: String,
        truth: String,
        #[serde(default = "yes", alias = "should")]
        same: bool,
        kind: String,
    },
}

fn yes() -> bool {
    true
}

/// The cases that come out wrong, one a line.
fn wrong(lines: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (said, is, should) = match serde_json::from_str(line).expect(line) {
            Case::Answer {
                given,
                truth,
                same,
                kind,
            } => (
                format!("{kind}: {given:?} against {truth:?}"),
                answers_match(&given, &truth),
                same,
            ),
            Case::Text {
                text,
                truth,
                same,
                kind,
            } => {
                let answer = extract(&text);
                (
                    format!("{kind}: {answer:?} of {text:?} against {truth:?}"),
                    answer.is_some_and(|answer| answers_match(&answer, &truth)),
                    same,
                )
            }
        };
        if is != should {
            wrong.push(format!("{said}: {is}, should be {should}"));
        }
    }
    wrong
}

#[test]
fn answers_that_say_the_same_match_and_no_others() {
    let wrong = wrong(include_str!("../data/answers.jsonl"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Cases that others have reported. What a text could also mean stands beside it as `arguable`.
#[test]
fn reported_answers_are_judged_right() {
    let mut arguable = 0;
    for (name, cases, count) in [
        ("equivalence", include_str!("../data/equivalence.jsonl"), 99),
        ("extraction", include_str!("../data/extraction.jsonl"), 26),
    ] {
        assert_eq!(cases.lines().count(), count, "{name}");
        let wrong = wrong(cases);
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
        arguable += cases.matches("\"arguable\"").count();
    }
    assert_eq!(arguable, ARGUABLE, "with the reason in the row");
}

/// Rows of the reported cases of which more than one reading is sensible.
const ARGUABLE: usize = 28;

/// Equal or not, but not by texts or numbers alone.
#[test]
fn what_only_algebra_can_tell_is_told() {
    let cases = include_str!("../data/algebra.jsonl");
    let wrong = wrong(cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cases.lines().count(), ALGEBRA);
}

const ALGEBRA: usize = 48;

#[test]
fn a_rounded_number_is_the_truth_only_if_asked_for() {
    let near = Tolerance {
        relative: Some(1e-4),
        ..Tolerance::default()
    };
    for (given, truth) in [("3.3333", "10/3"), ("1.618034", r"\frac{1+\sqrt{5}}{2}")] {
        assert!(!answers_match(given, truth), "{given}");
        assert!(equal(given, truth, &near), "{given}");
    }
}
