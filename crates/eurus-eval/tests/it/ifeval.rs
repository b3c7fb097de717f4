//! Laws of instructions that a program can check.

use eurus_eval::graders::{Rules, ifeval};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn arguments(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn follows(name: &str, given: Value, response: &str, rules: Rules) -> bool {
    ifeval::instruction(name, &arguments(given), response, rules).expect("good arguments")
}

#[test]
fn an_unknown_instruction_names_the_nearest() {
    let error = ifeval::instruction("punctuation:no_coma", &Map::new(), "a", Rules::Authors);
    let error = error.expect_err("there is none of this name").to_string();
    assert!(
        error.ends_with("did you mean `punctuation:no_comma`?"),
        "{error}"
    );
}

#[test]
fn a_wrong_argument_is_named_with_its_instruction() {
    let given = arguments(json!({"num_words": "ten", "relation": "at least"}));
    let error = ifeval::instruction("length_constraints:number_words", &given, "a", Rules::Fixed);
    assert_eq!(
        error.expect_err("ten is a text").to_string(),
        "instruction `length_constraints:number_words`: argument `num_words` is \"ten\", \
         and must be a whole number from 0"
    );
}

#[test]
fn a_sign_is_counted_itself_by_fixed_rules_alone() {
    let given = json!({"letter": "#", "let_frequency": 4, "let_relation": "at least"});
    let name = "keywords:letter_frequency";
    assert!(follows(name, given.clone(), "####", Rules::Fixed));
    assert!(!follows(name, given, "####", Rules::Authors));
}

#[test]
fn a_word_with_a_combining_mark_is_two_runs_as_in_python() {
    assert_eq!(ifeval::word_count("e\u{301}te"), 2);
}

proptest! {
    #[test]
    fn what_is_followed_strictly_is_followed_loosely(response in "[aA.,*\" \n<\\[-]{0,40}") {
        let names = [
            "punctuation:no_comma",
            "detectable_format:number_bullet_lists",
            "startend:quotation",
            "change_case:capital_word_frequency",
        ];
        let given = [
            json!({}),
            json!({"num_bullets": 1}),
            json!({}),
            json!({"capital_frequency": 1, "capital_relation": "less than"}),
        ];
        let grade = ifeval::grade(&response, &names, &given.map(arguments), Rules::Authors)?;
        for (strict, loose) in grade.followed.strict.iter().zip(&grade.followed.loose) {
            prop_assert!(strict <= loose);
        }
    }

    #[test]
    fn sentences_hold_all_but_white_space(text in "(Mr\\.|[a-cA-C.?!\"') \n-]|\u{e9}){0,40}") {
        let is_ink = |character: &char| !character.is_whitespace();
        let sentences: String = ifeval::sentences(&text).concat();
        let kept: String = sentences.chars().filter(is_ink).collect();
        let all: String = text.chars().filter(is_ink).collect();
        prop_assert_eq!(kept, all);
    }
}
