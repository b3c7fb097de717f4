//! The index finds exactly what a naive scan finds.

use proptest::prelude::*;
use ultrainteract::decontaminate::{Decontaminator, Overlap, words};

/// All runs of n words, or all the words where there are fewer.
fn grams(text: &str, n: usize) -> Vec<String> {
    let words = words(text);
    if words.is_empty() {
        return Vec::new();
    }
    words
        .windows(n.min(words.len()))
        .map(|gram| gram.join(" "))
        .collect()
}

fn naive(test_texts: &[String], n: usize, text: &str) -> Option<Overlap> {
    grams(text, n).into_iter().find_map(|ngram| {
        let test_index = test_texts
            .iter()
            .position(|test| grams(test, n).contains(&ngram))?;
        Some(Overlap { test_index, ngram })
    })
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "B", "b", "7", "é", "É", " ", ", ", "--", "\n"]),
        0..24,
    )
    .prop_map(|parts| parts.join(" "))
}

proptest! {
    #[test]
    fn the_index_equals_a_naive_scan(
        tests in prop::collection::vec(text(), 0..6),
        candidate in text(),
        n in 1usize..9,
    ) {
        let index = Decontaminator::new(&tests, n).unwrap();
        prop_assert_eq!(index.find(&candidate), naive(&tests, n, &candidate));
    }

    #[test]
    fn every_test_text_with_a_word_finds_itself(tests in prop::collection::vec(text(), 1..6), n in 1usize..9) {
        let index = Decontaminator::new(&tests, n).unwrap();
        for test in &tests {
            prop_assert_eq!(index.find(test).is_some(), !words(test).is_empty());
        }
    }
}

#[test]
fn a_short_text_matches_as_a_whole_only() {
    let index = Decontaminator::new(["What is 2 + 2?"], 8).unwrap();
    assert_eq!(
        index.find("what is 2 2").map(|overlap| overlap.test_index),
        Some(0)
    );
    assert!(index.find("what is 2").is_none());
    assert!(
        index
            .find("Tell me, what is 2 + 2, and what is 3 + 3?")
            .is_none()
    );
}

#[test]
fn a_gram_of_length_zero_is_refused() {
    assert_eq!(
        Decontaminator::new(["a"], 0).unwrap_err().to_string(),
        "`n` is 0; it must be at least 1"
    );
}

#[test]
fn an_empty_index_finds_nothing() {
    let index = Decontaminator::new(["", "?!"], 8).unwrap();
    assert!(index.is_empty());
    assert!(index.find("").is_none());
    assert!(index.find("anything at all").is_none());
}
