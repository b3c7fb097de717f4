//! The tables, against counting by hand.

use crate::support;
use std::collections::{BTreeMap, HashSet};

use crate::support::tree;
use proptest::prelude::*;
use ultrainteract::stats::{Contribution, Domain, Layout, Stats, StatsBuilder, pieces};
use ultrainteract::{PreferenceTree, Task, Verdict};

fn stats(trees: &[PreferenceTree]) -> Stats {
    let mut builder = StatsBuilder::default();
    for tree in trees {
        for part in Contribution::of_trees(std::slice::from_ref(tree), &|text| text.len()) {
            builder.add(part).unwrap();
        }
    }
    builder.finish().unwrap()
}

/// Interaction, and every trajectory as turns and bytes.
fn naive_trajectories(tree: &PreferenceTree) -> (bool, Vec<(usize, usize)>) {
    let bytes = |path: &[ultrainteract::NodeId]| -> usize {
        path.iter().map(|&node| tree.node(node).text().len()).sum()
    };
    let verdict = |node| tree.node(node).action().map(|action| action.verdict);
    let all: Vec<_> = tree.nodes().map(|(id, _)| id).collect();
    let right: Vec<_> = all
        .iter()
        .copied()
        .filter(|&id| verdict(id) == Some(Verdict::Correct))
        .collect();
    let observed = all.iter().any(|&id| tree.turn(id) > 1);
    if !observed && right.len() > 1 {
        return (
            false,
            right.iter().map(|&id| (1, bytes(&tree.path(id)))).collect(),
        );
    }
    let last: Vec<_> = all
        .iter()
        .copied()
        .filter(|&id| verdict(id).is_some() && tree.turn(id) == tree.turns())
        .collect();
    let end = last
        .iter()
        .find(|&&id| verdict(id) == Some(Verdict::Correct))
        .or(last.first());
    (
        true,
        end.map(|&id| (tree.turns(), bytes(&tree.path(id))))
            .into_iter()
            .collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn statistics_equal_a_naive_recount(trees in prop::collection::vec(tree(), 0..30)) {
        let stats = stats(&trees);
        let tool = |tree: &PreferenceTree| match tree.task() {
            Task::MathPot => Some(true),
            Task::MathCot | Task::Logic => Some(false),
            Task::Coding => None,
        };
        let domain = |tree: &PreferenceTree| match tree.task() {
            Task::MathCot | Task::MathPot => Domain::Math,
            Task::Coding => Domain::Coding,
            Task::Logic => Domain::Logic,
        };
        let correct = |trees: &[&PreferenceTree]| trees.iter()
            .flat_map(|tree| tree.nodes())
            .filter(|(_, node)| node.action().is_some_and(|action| action.verdict == Verdict::Correct))
            .count() as u64;

        let mut groups: BTreeMap<_, Vec<&PreferenceTree>> = BTreeMap::new();
        for tree in &trees {
            groups.entry((domain(tree), Some(naive_trajectories(tree).0), tool(tree))).or_default().push(tree);
        }
        let table = stats.table1();
        prop_assert_eq!(table.rows.len(), groups.len());
        for row in &table.rows {
            let group = &groups[&(row.task.unwrap(), row.interaction, row.tool)];
            let ids: HashSet<_> = group.iter().map(|tree| (tree.dataset(), tree.id())).collect();
            let ways: Vec<(usize, usize)> = group.iter().flat_map(|tree| naive_trajectories(tree).1).collect();
            prop_assert_eq!(row.instructions, ids.len() as u64);
            for (index, &count) in row.turns.iter().enumerate() {
                prop_assert_eq!(count, ways.iter().filter(|(turns, _)| *turns == index + 1).count() as u64);
            }
            let bytes: usize = ways.iter().map(|(_, bytes)| bytes).sum();
            let mean = if ways.is_empty() { 0.0 } else { bytes as f64 / ways.len() as f64 };
            prop_assert_eq!(row.tokens_per_trajectory, mean);
            prop_assert_eq!(row.trajectories_per_instruction, ways.len() as f64 / ids.len() as f64);
            prop_assert_eq!(row.pairs, group.iter().map(|tree| tree.pairs().len() as u64).sum::<u64>());
            prop_assert_eq!(row.correct_answers, correct(group));
        }
        let all: Vec<&PreferenceTree> = trees.iter().collect();
        prop_assert_eq!(table.total.correct_answers, correct(&all));

        let mut datasets: BTreeMap<_, Vec<&PreferenceTree>> = BTreeMap::new();
        for tree in &trees {
            datasets.entry((domain(tree), tree.dataset(), tool(tree))).or_default().push(tree);
        }
        let table = stats.table7();
        prop_assert_eq!(table.rows.len(), datasets.len());
        for row in &table.rows {
            let group = &datasets[&(row.task, row.dataset.as_str(), row.tool)];
            prop_assert_eq!(row.pairs, group.iter().map(|tree| tree.pairs().len() as u64).sum::<u64>());
            prop_assert_eq!(row.correct_answers, correct(group));
            let truth = group.iter().any(|tree| tree.ground_truth().is_some());
            let known = (row.dataset != "own").then_some(true);
            prop_assert_eq!(row.has_answer, if truth { Some(true) } else { known });
        }
    }

    #[test]
    fn pieces_never_count_more_than_bytes(text in "\\PC{0,80}") {
        let count = pieces(&text);
        prop_assert!(count <= text.len());
        prop_assert_eq!(count == 0, text.is_empty());
    }
}

#[test]
fn the_same_problem_counts_once_wherever_it_stands() {
    let tree = |id: &str| PreferenceTree::new(id, Task::Logic, "d", "q").unwrap();
    let trees: Vec<PreferenceTree> = ["a", "b", "a", "c", "a"].map(tree).to_vec();
    assert_eq!(stats(&trees).table1().total.instructions, 3);
}

#[test]
fn tables_are_laid_out_three_ways() {
    let mut tree = PreferenceTree::new("p", Task::MathPot, "gsm8k", "Tom has 2.").unwrap();
    let right = tree
        .add_action(tree.root(), support::action("It is 2.", Verdict::Correct))
        .unwrap();
    let wrong = tree
        .add_action(tree.root(), support::action("It is 3.", Verdict::Incorrect))
        .unwrap();
    tree.add_pair(right, wrong).unwrap();
    let stats = stats(&[tree]);
    let text = stats.render(Layout::Text);
    let expected = "\
Table 1: by task, interaction and tool
Task   Interaction  Tool  # Instructions  T1  T2  T3  T4  T5  # Tokens per Traj.  # Traj. per Ins.  # Pairs  # Correct Answers
Math   yes          yes                1   1   -   -   -   -                18.0               1.0        1                  1
Total  -            -                  1   1   -   -   -   -                18.0               1.0        1                  1

Table 7: by data set
Task  Dataset  Tool  # Prompts  # Pairs  # Correct Answers  Avg. Length  Has Answer?  Has Rationale?
Math  gsm8k    yes           1        1                  1         18.0          yes             yes
";
    assert_eq!(text, expected);
    let markdown = stats.render(Layout::Markdown);
    assert!(
        markdown.contains("| Math | yes | yes | 1 | 1 | - | - | - | - | 18.0 | 1.0 | 1 | 1 |"),
        "{markdown}"
    );
    assert!(
        markdown.contains("| --- | --- | --- | ---: |"),
        "{markdown}"
    );
    let json: serde_json::Value = serde_json::from_str(&stats.render(Layout::Json)).unwrap();
    assert_eq!(json["table1"]["total"]["pairs"], 1);
    assert_eq!(json["table7"]["rows"][0]["dataset"], "gsm8k");
}
