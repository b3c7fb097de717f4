//! The ways through a tree that the tables count.

use crate::{NodeId, PreferenceTree, Verdict};

/// Whether the tree has interaction, and its trajectories, each from the instruction to an action.
pub(super) fn trajectories(tree: &PreferenceTree) -> (bool, Vec<Vec<NodeId>>) {
    let correct: Vec<NodeId> = tree
        .nodes()
        .filter(|(_, node)| {
            node.action()
                .is_some_and(|action| action.verdict == Verdict::Correct)
        })
        .map(|(id, _)| id)
        .collect();
    let turns = tree.turns();
    if turns <= 1 && correct.len() > 1 {
        return (false, correct.iter().map(|&end| tree.path(end)).collect());
    }
    let deepest = |&id: &NodeId| tree.turn(id) == turns && tree.node(id).action().is_some();
    let end = correct
        .iter()
        .copied()
        .find(deepest)
        .or_else(|| tree.nodes().map(|(id, _)| id).find(deepest));
    (true, end.map(|end| tree.path(end)).into_iter().collect())
}
