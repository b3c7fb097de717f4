//! Trees of a step into forests of bounded size.

use token_forest::{PackedForest, TokenTree, pack};

use crate::Result;
use crate::data::PairedTree;

/// Groups of `trees` that each fit in the budget; trees that alone exceed it are cut by `split` first.
fn forests(pieces: &[TokenTree], token_budget: usize) -> Result<Vec<Vec<usize>>> {
    Ok(pack(pieces, token_budget)?)
}

/// Forests of whole SFT trees; a tree larger than the budget is split along its leaves.
pub(crate) fn pack_trees(trees: &[&TokenTree], token_budget: usize) -> Result<Vec<PackedForest>> {
    let mut pieces = Vec::with_capacity(trees.len());
    for tree in trees {
        if tree.unique_tokens() <= token_budget {
            pieces.push((*tree).clone());
        } else {
            let split = tree.split(token_budget, &[])?;
            pieces.extend(split.into_iter().map(|piece| piece.subtree.tree));
        }
    }
    forests(&pieces, token_budget)?
        .iter()
        .map(|members| {
            Ok(PackedForest::from_trees(
                members.iter().map(|&m| &pieces[m]),
            )?)
        })
        .collect()
}

/// Where a packed node is and what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedPair {
    /// The tree, by its place in the list that was packed.
    pub tree: usize,
    /// The pair's index in the tree.
    pub pair: usize,
    /// Forest node of the chosen response.
    pub chosen: u32,
    /// Forest node of the rejected response.
    pub rejected: u32,
}

/// A forest with the pairs whose nodes it holds.
pub(crate) struct PairForest {
    pub forest: PackedForest,
    pub pairs: Vec<PackedPair>,
}

/// A part of a paired tree that fits in the budget.
struct PairPiece {
    tree: TokenTree,
    source: usize,
    /// Pair index, chosen node, rejected node.
    pairs: Vec<(usize, usize, usize)>,
}

/// Forests of the trees' pairs. Mismatched leaves are left out.
pub(crate) fn pack_pairs(trees: &[&PairedTree], token_budget: usize) -> Result<Vec<PairForest>> {
    let mut pieces = Vec::with_capacity(trees.len());
    for (source, tree) in trees.iter().enumerate() {
        let groups: Vec<Vec<usize>> = tree
            .pairs
            .iter()
            .map(|pair| vec![pair.chosen, pair.rejected])
            .collect();
        let whole = tree.tree.subtree(&groups.concat())?;
        let parts = if whole.tree.unique_tokens() <= token_budget {
            vec![(whole, (0..groups.len()).collect())]
        } else {
            tree.tree
                .split(token_budget, &groups)?
                .into_iter()
                .map(|piece| (piece.subtree, piece.groups))
                .collect()
        };
        for (part, indices) in parts {
            let place = |node: usize| part.nodes.binary_search(&node).unwrap_or_default();
            let pairs = indices
                .into_iter()
                .map(|index: usize| {
                    let pair = tree.pairs[index];
                    (index, place(pair.chosen), place(pair.rejected))
                })
                .collect();
            pieces.push(PairPiece {
                tree: part.tree,
                source,
                pairs,
            });
        }
    }
    let token_trees: Vec<TokenTree> = pieces.iter().map(|piece| piece.tree.clone()).collect();
    forests(&token_trees, token_budget)?
        .into_iter()
        .map(|members| {
            let forest = PackedForest::from_trees(members.iter().map(|&m| &token_trees[m]))?;
            let mut pairs = Vec::new();
            for (place, &member) in members.iter().enumerate() {
                let piece = &pieces[member];
                for &(pair, chosen, rejected) in &piece.pairs {
                    pairs.push(PackedPair {
                        tree: piece.source,
                        pair,
                        chosen: forest.node_index(place, chosen) as u32,
                        rejected: forest.node_index(place, rejected) as u32,
                    });
                }
            }
            Ok(PairForest { forest, pairs })
        })
        .collect()
}

/// One mismatched leaf in a forest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedLeaf {
    pub tree: usize,
    pub pair: usize,
    pub node: u32,
}

/// A forest of prompts with their mismatched leaves.
pub(crate) struct MismatchedForest {
    pub forest: PackedForest,
    pub leaves: Vec<PackedLeaf>,
}

/// Forests of the trees' mismatched leaves under their prompts, nothing else.
pub(crate) fn pack_mismatched(
    trees: &[&PairedTree],
    token_budget: usize,
) -> Result<Vec<MismatchedForest>> {
    let mut pieces = Vec::new();
    let mut sources = Vec::new();
    for (source, tree) in trees.iter().enumerate() {
        if tree.mismatched.is_empty() {
            continue;
        }
        let groups: Vec<Vec<usize>> = tree.mismatched.iter().map(|&leaf| vec![leaf]).collect();
        let whole = tree.tree.subtree(&tree.mismatched)?;
        let parts = if whole.tree.unique_tokens() <= token_budget {
            vec![(whole, (0..groups.len()).collect())]
        } else {
            tree.tree
                .split(token_budget, &groups)?
                .into_iter()
                .map(|piece| (piece.subtree, piece.groups))
                .collect()
        };
        for (mut part, indices) in parts {
            let leaves: Vec<(usize, usize)> = indices
                .into_iter()
                .map(|pair: usize| {
                    let node = tree.mismatched[pair];
                    (pair, part.nodes.binary_search(&node).unwrap_or_default())
                })
                .collect();
            for (node, token_node) in part.tree.nodes.iter_mut().enumerate() {
                token_node.trainable = leaves.iter().any(|&(_, leaf)| leaf == node);
            }
            sources.push((source, leaves));
            pieces.push(part.tree);
        }
    }
    if pieces.is_empty() {
        return Ok(Vec::new());
    }
    forests(&pieces, token_budget)?
        .into_iter()
        .map(|members| {
            let forest = PackedForest::from_trees(members.iter().map(|&m| &pieces[m]))?;
            let mut leaves = Vec::new();
            for (place, &member) in members.iter().enumerate() {
                let (tree, nodes) = &sources[member];
                for &(pair, leaf) in nodes {
                    leaves.push(PackedLeaf {
                        tree: *tree,
                        pair,
                        node: forest.node_index(place, leaf) as u32,
                    });
                }
            }
            Ok(MismatchedForest { forest, leaves })
        })
        .collect()
}
