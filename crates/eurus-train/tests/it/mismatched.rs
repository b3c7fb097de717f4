//! The completions that KTO's KL estimate scores under prompts they do not belong to.

use crate::common::trees;
use proptest::prelude::*;
use token_forest::{Error, add_mismatched};

proptest! {
    #[test]
    fn a_mismatched_completion_is_a_leaf_under_the_pairs_prompt_and_comes_from_another_tree(
        count in 2u32..8,
        seed in any::<u64>(),
    ) {
        let before = trees(count);
        let mut after = before.clone();
        add_mismatched(&mut after, seed).expect("several trees");
        for (index, tree) in after.iter().enumerate() {
            for pair in tree.groups() {
                let leaf = pair.mismatched.expect("every pair has one");
                let node = &tree.tree().nodes[leaf];
                prop_assert_eq!(node.parent, tree.tree().nodes[pair.nodes[0]].parent);
                prop_assert!(tree.tree().leaves().contains(&leaf));
                let is_source = |(other, tree): (usize, &token_forest::TrainingTree)| {
                    let mut chosen = tree.groups().iter().map(|pair| pair.nodes[0]);
                    other != index && chosen.any(|it| tree.tree().nodes[it].tokens == node.tokens)
                };
                prop_assert!(before.iter().enumerate().any(is_source));
            }
        }
        let mut again = before;
        add_mismatched(&mut again, seed).expect("several trees");
        prop_assert_eq!(again, after);
    }
}

#[test]
fn one_tree_has_no_other_to_take_a_completion_from() {
    let error = add_mismatched(&mut trees(1), 0).expect_err("one tree");
    assert!(matches!(error, Error::OneTreeForKl));
}
