//! Graders that work on any task.

use eurus_eval::graders::Verdict;
use eurus_eval::graders::generic::{Extraction, choice, contains, equal, exact, number, regex};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn a_list_of_right_answers_is_met_by_any_one_of_it() {
    let gold = json!(["color", "colour"]);
    assert!(exact("colour", &gold, false).is_correct());
    assert!(contains("of what color?", &gold, false).is_correct());
    assert!(!contains("of what Color?", &gold, false).is_correct());
    assert!(contains("of what Color?", &gold, true).is_correct());
    assert!(number("7", &json!([3, 7.0]), 0.0).is_correct());
    assert!(equal("1/2", &json!(["0.25", "\\frac{2}{4}"])).is_correct());
    assert!(choice("(C)", &json!(["A", "C"])).is_correct());
}

#[test]
fn an_expression_matches_a_part_or_the_whole() {
    assert!(regex("in 1984.", &json!(r"19\d\d"), false).is_correct());
    assert!(!regex("in 1984.", &json!(r"19\d\d"), true).is_correct());
    assert!(regex(" 1984 ", &json!(r"19\d\d"), true).is_correct());
    let grade = regex("1984", &json!("("), false);
    assert!(
        matches!(grade.verdict, Verdict::Unjudged { .. }),
        "{grade:?}"
    );
}

#[test]
fn every_extraction_takes_its_part() {
    let text = "First: 1,000.\n\nThe Answer is: -2.5.\n```python\nprint(1)\n```\n\\boxed{7}\nlast";
    let after = |marker: &str| Extraction::After {
        marker: marker.to_owned(),
    };
    let by_regex = |pattern: &str| Extraction::Regex {
        pattern: pattern.to_owned(),
    };
    for (extraction, part) in [
        (Extraction::Whole, Some(text)),
        (Extraction::FirstLine, Some("First: 1,000.")),
        (Extraction::LastLine, Some("last")),
        (after("the answer is"), Some("-2.5")),
        (after("nobody says"), None),
        (by_regex(r"\d,\d+"), Some("1,000")),
        (by_regex(r"is: (-?\d)"), Some("-2")),
        (Extraction::LastNumber, Some("7")),
        (Extraction::Stated, Some("7")),
        (Extraction::Code, Some("print(1)\n")),
    ] {
        assert_eq!(extraction.apply(text).as_deref(), part, "{extraction:?}");
    }
    let open = "```python\nprint(2)";
    assert_eq!(Extraction::Code.apply(open).as_deref(), Some("print(2)"));
    assert_eq!(Extraction::Whole.apply(" \n"), None);
}

proptest! {
    #[test]
    fn a_right_answer_is_right_by_its_own_grader(text in "[a-z][a-z0-9 ]{0,20}[a-z]", value in -1e9..1e9f64) {
        prop_assert!(exact(&text, &json!(text), false).is_correct());
        prop_assert!(contains(&text, &json!(text), false).is_correct());
        prop_assert!(number(&value.to_string(), &json!(value), 0.0).is_correct());
    }

    #[test]
    fn no_text_is_too_odd_to_be_graded(text in any::<String>(), gold in any::<String>()) {
        let gold = json!(gold);
        for grade in [exact(&text, &gold, true), contains(&text, &gold, true), regex(&text, &gold, true),
            number(&text, &gold, 0.1), equal(&text, &gold), choice(&text, &gold)] {
            prop_assert!(!grade.why.is_empty());
        }
        for extraction in [Extraction::FirstLine, Extraction::LastLine, Extraction::LastNumber, Extraction::Stated, Extraction::Code] {
            let _ = extraction.apply(&text);
        }
    }
}
