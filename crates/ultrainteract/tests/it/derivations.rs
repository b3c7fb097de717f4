//! What is made of trees keeps the paper's limits, on every random tree.

use std::collections::{HashMap, HashSet};

use crate::support::tree;
use proptest::prelude::*;
use ultrainteract::derive::{self, Augmentation, SftSelection};
use ultrainteract::example::Example;
use ultrainteract::{PreferenceTree, Verdict, rebuild};

/// Texts of the actions with a verdict, by turn.
fn texts(tree: &PreferenceTree, verdict: Verdict) -> Vec<(usize, String)> {
    tree.nodes()
        .filter_map(|(id, node)| {
            let action = node.action()?;
            (action.verdict == verdict).then(|| (tree.turn(id), action.text.clone()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn augmentation_keeps_its_limits(
        tree in tree(), seed in any::<u64>(), max_pairs in 0usize..12, max_uses in 1usize..4, max_matches in 1usize..30
    ) {
        let settings = Augmentation { max_matches, max_pairs, max_uses, seed };
        let rows = derive::augment(&tree, &settings);
        let turns = tree.turns();
        prop_assert!(rows.is_empty() || turns * turns <= max_matches);
        prop_assert!(rows.len() <= max_pairs);
        let mut uses: HashMap<&str, usize> = HashMap::new();
        let (right, wrong) = (texts(&tree, Verdict::Correct), texts(&tree, Verdict::Incorrect));
        let mut pairs = HashSet::new();
        for row in &rows {
            prop_assert!(row.validate().is_ok());
            prop_assert_eq!(row.trajectory.len(), 1);
            prop_assert_eq!(&row.trajectory[0].content, tree.instruction());
            prop_assert!(pairs.insert((&row.chosen, &row.rejected)), "no pair twice");
            *uses.entry(&row.chosen).or_default() += 1;
            *uses.entry(&row.rejected).or_default() += 1;
            // Some turn has the chosen, another the rejected action, and no turn both.
            let turns_of = |list: &[(usize, String)], text: &str| -> HashSet<usize> {
                list.iter().filter(|(_, other)| other == text).map(|(turn, _)| *turn).collect()
            };
            let (of_chosen, of_rejected) = (turns_of(&right, &row.chosen), turns_of(&wrong, &row.rejected));
            prop_assert!(!of_chosen.is_empty() && !of_rejected.is_empty());
            prop_assert!(of_chosen.is_disjoint(&of_rejected));
            prop_assert!(turns_of(&wrong, &row.chosen).is_empty() && turns_of(&right, &row.rejected).is_empty());
        }
        prop_assert!(uses.values().all(|&count| count <= max_uses));
        prop_assert_eq!(&rows, &derive::augment(&tree, &settings));
    }

    #[test]
    fn without_limits_augmentation_finds_every_match(tree in tree()) {
        let unlimited = Augmentation { max_matches: usize::MAX, max_pairs: usize::MAX, max_uses: usize::MAX, seed: 1 };
        let found: HashSet<(String, String)> =
            derive::augment(&tree, &unlimited).into_iter().map(|row| (row.chosen, row.rejected)).collect();
        let (right, wrong) = (texts(&tree, Verdict::Correct), texts(&tree, Verdict::Incorrect));
        let mut expected = HashSet::new();
        for (_, chosen) in &right {
            for (_, rejected) in &wrong {
                let clash = wrong.iter().any(|(_, text)| text == chosen) || right.iter().any(|(_, text)| text == rejected);
                let same_turn = right.iter().any(|(turn, text)| text == chosen && wrong.contains(&(*turn, rejected.clone())));
                if !clash && !same_turn {
                    expected.insert((chosen.clone(), rejected.clone()));
                }
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_flat_copy_has_the_same_pairs_and_no_history_to_share(tree in tree()) {
        let (rows, flat) = (derive::pair_rows(&tree), derive::flat_rows(&tree));
        prop_assert_eq!(rows.len(), flat.len());
        for (row, flat) in rows.iter().zip(&flat) {
            prop_assert_eq!((&row.trajectory, &row.chosen, &row.rejected), (&flat.trajectory, &flat.chosen, &flat.rejected));
        }
        let trees = rebuild::trees_from_pairs(&flat).unwrap();
        prop_assert_eq!(trees.len(), flat.len());
        prop_assert!(trees.iter().all(|tree| tree.pairs().len() == 1));
    }

    #[test]
    fn sft_selections_are_what_they_say(tree in tree()) {
        let right = texts(&tree, Verdict::Correct).len();
        let actions = tree.nodes().filter(|(_, node)| node.action().is_some()).count();
        let leaves = derive::sft(&tree, SftSelection::CorrectLeaves);
        prop_assert_eq!(leaves.len(), right);
        prop_assert!(leaves.iter().all(|example| matches!(example, Example::Sft(_))));
        prop_assert_eq!(derive::sft(&tree, SftSelection::AllNodes).len(), actions);
        let whole = derive::sft(&tree, SftSelection::Trajectories);
        prop_assert_eq!(whole.len(), right);
        for example in whole {
            let Example::Conversation(row) = example else { panic!("a conversation") };
            prop_assert_eq!(row.messages.len() % 2, 0);
        }
    }

    #[test]
    fn every_judged_action_comes_once_with_its_label(tree in tree()) {
        let rows = derive::unpaired(&tree);
        let count = |label| rows.iter().filter(|row| row.label == label).count();
        prop_assert_eq!(count(true), texts(&tree, Verdict::Correct).len());
        prop_assert_eq!(count(false), texts(&tree, Verdict::Incorrect).len());
        let different: HashSet<_> = rows.iter().map(|row| (&row.prompt, &row.completion)).collect();
        prop_assert_eq!(different.len(), rows.len());
    }
}
