//! Laws of the graders that judge text.

use eurus_eval::graders::theorem_qa::python::{Value, evaluate};
use eurus_eval::graders::theorem_qa::{Form, parse_prediction};
use eurus_eval::graders::{Rules, bbh, math, mmlu, theorem_qa};
use proptest::prelude::*;

/// Pieces that the graders look for, in any order, and any characters between them.
fn answer() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(r"\boxed{".to_owned()),
        Just("}".to_owned()),
        Just(r"\frac".to_owned()),
        Just(r"\sqrt".to_owned()),
        Just(r"\pi".to_owned()),
        Just(r"\text{ ".to_owned()),
        Just("the answer is ".to_owned()),
        Just("Answer: ".to_owned()),
        Just("10^".to_owned()),
        Just("Interval(".to_owned()),
        Just(" or ".to_owned()),
        Just("**".to_owned()),
        "[0-9(),._%$=\\[\\]{}^/+-]{1,6}",
        "\\PC{0,4}",
    ];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_answer_makes_a_grader_fail(answer in answer(), gold in answer()) {
        for rules in Rules::ALL {
            math::grade(&answer, &gold, rules);
            math::grade_last_number(&answer, &gold);
            bbh::grade(&answer, &gold, rules);
            for form in [Form::Text, Form::Output] {
                let gold = serde_json::json!([1, 2.5]);
                theorem_qa::grade(&answer, form, &gold, "list of float", rules);
            }
        }
        mmlu::grade(&answer, &gold);
    }

    #[test]
    fn the_gold_answer_in_a_box_is_right(top in -999i64..1000, bottom in 2i64..99) {
        for gold in [top.to_string(), format!(r"\frac{{{top}}}{{{bottom}}}"), format!(r"{top}\sqrt{{{bottom}}}")] {
            let answer = format!(r"So we have $\boxed{{{gold}}}$.");
            for rules in Rules::ALL {
                prop_assert!(math::grade(&answer, &gold, rules).is_correct(), "{answer}");
            }
        }
    }

    #[test]
    fn another_number_is_wrong_without_the_defects(gold in -9999i64..10000, off in 1i64..9999) {
        let answer = format!("The answer is {}.", gold + off);
        prop_assert!(!math::grade(&answer, &gold.to_string(), Rules::Fixed).is_correct());
    }

    #[test]
    fn arithmetic_of_whole_numbers_is_that_of_integers(a in -999i128..1000, b in -999i128..1000, c in 1i128..99) {
        let value = evaluate(&format!("({a}) * ({b}) - {c} + ({a}) % {c}"), false);
        prop_assert_eq!(value, Some(Value::Int(a * b - c + a.rem_euclid(c))));
    }

    #[test]
    fn a_number_with_a_unit_is_the_number(number in -9999i64..10000, unit in "(cm|kg|m|apples)") {
        let value = parse_prediction(&format!("{number} {unit}"), Rules::Authors);
        prop_assert_eq!(value, Some(Value::Int(i128::from(number))));
    }
}
