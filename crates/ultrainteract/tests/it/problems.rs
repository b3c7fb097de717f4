//! Trees of files: the same whatever the order of the rows and the kind of file.

use crate::support;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use ultrainteract::formats::{self, Format, PairRow};
use ultrainteract::rebuild::{self, Order, Problem};
use ultrainteract::validate::Limits;
use ultrainteract::{PreferenceTree, derive};

fn problems(files: Vec<PathBuf>, format: Format) -> (Order, Vec<Problem>) {
    let problems = rebuild::problems(files, format, Limits::default()).unwrap();
    (
        problems.order(),
        problems.collect::<Result<_, _>>().unwrap(),
    )
}

fn trees_of(problems: &[Problem]) -> Vec<PreferenceTree> {
    problems
        .iter()
        .flat_map(|problem| problem.trees.clone())
        .collect()
}

/// Trees with different names, so that each is a problem.
fn trees(count: usize) -> impl Strategy<Value = Vec<PreferenceTree>> {
    prop::collection::vec(support::tree(), 1..count).prop_map(|trees| {
        let mut seen = std::collections::HashSet::new();
        trees
            .into_iter()
            .filter(|tree| seen.insert(tree.id().to_string()))
            .collect()
    })
}

fn sorted(mut rows: Vec<PairRow>) -> Vec<PairRow> {
    rows.sort_by_cached_key(|row| serde_json::to_string(row).unwrap());
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn neighbouring_rows_become_their_trees_in_order(trees in trees(20)) {
        let rows: Vec<PairRow> = trees.iter().flat_map(derive::pair_rows).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        formats::write_jsonl(&path, &rows).unwrap();
        let (order, problems) = problems(vec![path], Format::Pair);
        prop_assert_eq!(order, Order::Adjacent);
        let back: Vec<PairRow> = trees_of(&problems).iter().flat_map(derive::pair_rows).collect();
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn scattered_rows_become_the_same_trees(trees in trees(12), seed in any::<u64>()) {
        let rows: Vec<PairRow> = trees.iter().flat_map(derive::pair_rows).collect();
        let mut shuffled = rows.clone();
        use rand::{SeedableRng, seq::SliceRandom};
        shuffled.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..3).map(|n| folder.path().join(format!("{n}.jsonl.gz"))).collect();
        for (number, path) in paths.iter().enumerate() {
            formats::write_jsonl(path, shuffled.iter().skip(number).step_by(3)).unwrap();
        }
        let (_, problems) = problems(paths, Format::Pair);
        prop_assert!(problems.iter().all(|problem| problem.rejected.is_empty()));
        let back: Vec<PairRow> = trees_of(&problems).iter().flat_map(derive::pair_rows).collect();
        prop_assert_eq!(sorted(back), sorted(rows));
        let with_pairs = trees.iter().filter(|tree| !tree.pairs().is_empty()).count();
        prop_assert_eq!(problems.len(), with_pairs);
    }
}

#[test]
fn trees_come_back_from_tree_files() {
    let mut runner = TestRunner::deterministic();
    let trees = trees(40).new_tree(&mut runner).unwrap();
    let trees = proptest::strategy::ValueTree::current(&trees);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trees.jsonl.zst");
    formats::write_jsonl(&path, &trees).unwrap();
    let (_, problems) = problems(vec![path], Format::Tree);
    assert_eq!(trees_of(&problems), trees);
}

#[test]
fn bad_rows_and_contradictions_are_told_with_their_place() {
    let row = |parent: &str, chosen: &str, rejected: &str| {
        format!(
            r#"{{"id": "{parent}_1_1", "parent_id": "{parent}", "task": "Logic", "dataset": "d", "trajectory": [{{"from": "user", "value": "q"}}], "chosen": "{chosen}", "rejected": "{rejected}"}}"#
        )
    };
    let lines = [
        row("a", "yes", "no"),
        row("a", "no", "yes"),
        "{".to_string(),
        row("b", "yes", "no"),
        row("b", "yes", ""),
        row("a", "yes", "maybe"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    for (keep, order) in [(5, Order::Adjacent), (6, Order::Scattered)] {
        std::fs::write(&path, lines[..keep].join("\n")).unwrap();
        let (found_order, problems) = problems(vec![path.clone()], Format::Pair);
        assert_eq!(found_order, order);
        let mut splits: Vec<_> = problems
            .iter()
            .flat_map(|problem| &problem.splits)
            .collect();
        splits.sort_by_key(|(_, location)| location.place);
        assert_eq!(splits.len(), 1);
        assert!(splits[0].1.to_string().starts_with("row 2 of "));
        let mut rejected: Vec<String> = problems
            .iter()
            .flat_map(|problem| &problem.rejected)
            .map(|rejected| rejected.error.to_string())
            .collect();
        rejected.sort();
        assert_eq!(rejected.len(), 2);
        assert!(rejected[0].starts_with("row 3 of ") && rejected[1].starts_with("row 5 of "));
        assert!(rejected[1].contains("`rejected` is empty"));
        let pairs: usize = trees_of(&problems)
            .iter()
            .map(|tree| tree.pairs().len())
            .sum();
        assert_eq!(pairs, keep - 2);
    }
}

#[test]
fn other_formats_have_no_trees() {
    let refused = rebuild::problems(Vec::new(), Format::OpenOrca, Limits::default());
    let message = refused
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(
        message.contains("openorca") && message.contains("tree"),
        "{message}"
    );
}
