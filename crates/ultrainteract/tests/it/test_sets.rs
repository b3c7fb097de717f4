//! Decontamination: every rule against a slow search, and test files of every kind.

use proptest::prelude::*;
use ultrainteract::decontaminate::{Rule, Rules, Substrings, TestItem, TestSet, read_test_items};

fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["a", "B", "b", " ", "\n", "c.", ","]);
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

fn normal(text: &str) -> String {
    text.to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

proptest! {
    #[test]
    fn substrings_are_found_where_a_slow_search_finds_them(
        tests in prop::collection::vec(text(), 0..5), query in text(), min_chars in 1usize..6
    ) {
        let index = Substrings::new(&tests, min_chars).unwrap();
        let long: Vec<String> = tests.iter().map(|text| normal(text)).collect();
        let inside = |test: &String| test.chars().count() >= min_chars && normal(&query).contains(test.as_str());
        match index.find(&query) {
            Some(found) => {
                prop_assert!(inside(&long[found.test_index]));
                prop_assert_eq!(&found.text, &long[found.test_index]);
            }
            None => prop_assert!(!long.iter().any(inside)),
        }
    }
}

fn items(texts: &[&str]) -> Vec<TestItem> {
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| TestItem {
            location: format!("row {} of t.jsonl", index + 1),
            text: (*text).to_string(),
        })
        .collect()
}

#[test]
fn each_rule_marks_what_is_its_own() {
    let tests = items(&[
        "Given the heads of two singly linked lists, return the node where they meet.",
        "A farmer has 12 cows and 7 goats and sells 3 cows; how many animals stay",
    ]);
    let rules = Rules {
        near_duplicate: Some(0.4),
        ..Rules::default()
    };
    let set = TestSet::new(tests, rules).unwrap();
    let rule = |text: &str| set.find(text).map(|found| (found.rule, found.test));
    let first = || "row 1 of t.jsonl".to_string();
    let second = || "row 2 of t.jsonl".to_string();
    let whole =
        "Task. GIVEN the heads of two singly\nlinked lists, return the node where they meet. Go!";
    assert_eq!(rule(whole), Some((Rule::Substring, first())));
    assert_eq!(
        rule("has 12 cows and 7 goats and sells none"),
        Some((Rule::Ngram, second()))
    );
    let alike = "A farmer has 12 cows and 7 horses and sells 3 cows; how many animals stay";
    let near = TestSet::new(
        items(&[
            "x",
            "A farmer has 12 cows and 7 goats and sells 3 cows; how many animals stay",
        ]),
        Rules {
            ngram: None,
            substring: None,
            near_duplicate: Some(0.3),
        },
    )
    .unwrap();
    let found = near.find(alike).unwrap();
    assert_eq!(found.rule, Rule::NearDuplicate);
    // 16 words have 12 five-word runs, 5 of them with the changed word: 7 shared of 17.
    assert_eq!(found.similarity, Some(7.0 / 17.0));
    assert_eq!(rule("Nothing of the kind."), None);
}

#[test]
fn test_problems_are_read_from_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(
        at("a.jsonl"),
        "{\"question\": \"one?\"}\n{\"answer\": 1, \"problem\": \"two?\"}\n",
    )
    .unwrap();
    std::fs::write(at("b.json"), "[{\"prompt\": \"three?\"}]").unwrap();
    std::fs::write(at("c.txt"), "[4] four?\n\nfive?\n").unwrap();
    let files = ["a.jsonl", "b.json", "c.txt"].map(at);
    let items = read_test_items(&files, None).unwrap();
    let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
    assert_eq!(texts, ["one?", "two?", "three?", "[4] four?", "five?"]);
    assert!(items[4].location.starts_with("row 3 of ") && items[4].location.ends_with("c.txt"));
    let error = read_test_items(&files[..1], Some("problem"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("row 1 of") && error.contains("`problem`: is missing"),
        "{error}"
    );
    std::fs::write(at("e.txt"), b"good\nb\xffd\n").unwrap();
    let error = read_test_items(&[at("e.txt")], None)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("row 2 of") && error.contains("not UTF-8 at column 2"),
        "{error}"
    );
    std::fs::write(at("d.jsonl"), "{\"x\": 1}\n").unwrap();
    let error = read_test_items(&[at("d.jsonl")], None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("none of the fields instruction, question"),
        "{error}"
    );
}

#[test]
fn settings_out_of_range_are_refused() {
    for rules in [
        Rules {
            ngram: Some(0),
            ..Rules::default()
        },
        Rules {
            substring: Some(0),
            ..Rules::default()
        },
        Rules {
            near_duplicate: Some(0.0),
            ..Rules::default()
        },
        Rules {
            near_duplicate: Some(f64::NAN),
            ..Rules::default()
        },
    ] {
        assert!(TestSet::new(items(&["x"]), rules).is_err(), "{rules:?}");
    }
}
