//! Trees of a step into forests of bounded size.

use std::iter::Sum;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use token_forest::{PackedForest, TokenTree, pack};

use crate::Result;
use crate::data::PairedTree;
use crate::log_probs::node_target_counts;

/// Nodes of one tree that a loss looks at together: a pair's two responses, or one mismatched completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackedGroup {
    /// The tree, by its place in the list that was packed.
    pub tree: usize,
    /// The group's index in its tree.
    pub index: usize,
    /// Forest nodes, in the group's order.
    pub nodes: Vec<u32>,
}

/// Numbers of a forest's pairs, kept to tell which of them is not finite.
pub(crate) struct PairTerms {
    pub groups: Vec<PackedGroup>,
    /// In the order in which they come about: name and values `[groups]`.
    pub terms: [(&'static str, Tensor<1>); 3],
}

impl PairTerms {
    /// What went wrong first, pair by pair.
    pub fn name(self, trees: &[&PairedTree]) -> Vec<String> {
        let mut wrong: Vec<Option<String>> = vec![None; self.groups.len()];
        for (name, values) in self.terms {
            let values = values.into_data();
            for ((value, group), wrong) in values.iter::<f32>().zip(&self.groups).zip(&mut wrong) {
                if !value.is_finite() && wrong.is_none() {
                    let id = &trees[group.tree].id;
                    *wrong = Some(format!(
                        "{name} in pair {} of `{id}` is {value}",
                        group.index
                    ));
                }
            }
        }
        wrong.into_iter().flatten().collect()
    }
}

/// A forest with the groups whose nodes it holds; exactly their nodes have targets.
pub(crate) struct GroupForest {
    pub forest: PackedForest,
    pub groups: Vec<PackedGroup>,
}

impl GroupForest {
    /// The node at `place` of every group, in order.
    pub fn column(&self, place: usize) -> impl Iterator<Item = u32> + '_ {
        self.groups.iter().map(move |group| group.nodes[place])
    }
}

/// What a step's pairs come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct PairCounts {
    pub pairs: usize,
    /// Target tokens of the pairs' first responses.
    pub chosen_tokens: usize,
    /// Tokens of the forests.
    pub unique_tokens: usize,
}

impl PairCounts {
    /// Those of some forests of pairs.
    pub fn of(forests: &[GroupForest]) -> Self {
        let of_forest = |packed: &GroupForest| {
            let counts = node_target_counts(&packed.forest);
            Self {
                pairs: packed.groups.len(),
                chosen_tokens: packed
                    .column(0)
                    .map(|node| counts[node as usize] as usize)
                    .sum(),
                unique_tokens: packed.forest.len(),
            }
        };
        forests.iter().map(of_forest).sum()
    }
}

impl Sum for PairCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |a, b| Self {
            pairs: a.pairs + b.pairs,
            chosen_tokens: a.chosen_tokens + b.chosen_tokens,
            unique_tokens: a.unique_tokens + b.unique_tokens,
        })
    }
}

/// A forest of whole trees or parts of them.
pub(crate) struct TreeForest {
    pub forest: PackedForest,
    /// Which tree each tree of the forest is, by its place in the list that was packed.
    pub sources: Vec<usize>,
}

/// Forests of whole trees; a tree larger than the budget is split along its leaves.
pub(crate) fn pack_trees(trees: &[&TokenTree], token_budget: usize) -> Result<Vec<TreeForest>> {
    let mut pieces = Vec::with_capacity(trees.len());
    let mut sources = Vec::with_capacity(trees.len());
    for (source, tree) in trees.iter().enumerate() {
        if tree.unique_tokens() <= token_budget {
            pieces.push((*tree).clone());
        } else {
            let split = tree.split(token_budget, &[])?;
            pieces.extend(split.into_iter().map(|piece| piece.subtree.tree));
        }
        sources.resize(pieces.len(), source);
    }
    pack(&pieces, token_budget)?
        .iter()
        .map(|members| {
            Ok(TreeForest {
                forest: PackedForest::from_trees(members.iter().map(|&m| &pieces[m]))?,
                sources: members.iter().map(|&m| sources[m]).collect(),
            })
        })
        .collect()
}

/// Forests of the trees' pairs: two nodes a group, chosen first. Mismatched leaves are left out.
pub(crate) fn pack_pairs(trees: &[&PairedTree], token_budget: usize) -> Result<Vec<GroupForest>> {
    pack_groups(trees, token_budget, |tree| {
        let nodes = tree
            .pairs
            .iter()
            .map(|pair| vec![pair.chosen, pair.rejected]);
        nodes.collect()
    })
}

/// Forests of all that a reference model is asked for: the trees' pairs and, after these, their mismatched leaves.
pub(crate) fn pack_reference(
    trees: &[&PairedTree],
    token_budget: usize,
) -> Result<Vec<GroupForest>> {
    pack_groups(trees, token_budget, |tree| {
        let pairs = tree
            .pairs
            .iter()
            .map(|pair| vec![pair.chosen, pair.rejected]);
        let mismatched = tree.mismatched.iter().map(|&leaf| vec![leaf]);
        pairs.chain(mismatched).collect()
    })
}

/// Forests of the trees' mismatched leaves under their prompts, one node a group, nothing else.
pub(crate) fn pack_mismatched(
    trees: &[&PairedTree],
    token_budget: usize,
) -> Result<Vec<GroupForest>> {
    pack_groups(trees, token_budget, |tree| {
        tree.mismatched.iter().map(|&leaf| vec![leaf]).collect()
    })
}

/// Checks that every pair and every mismatched leaf fits in a forest, so that no step fails for its size.
pub(crate) fn check_budget(trees: &[PairedTree], token_budget: usize) -> Result<()> {
    for tree in trees {
        if tree.tree.unique_tokens() > token_budget {
            pack_pairs(&[tree], token_budget)?;
            pack_mismatched(&[tree], token_budget)?;
        }
    }
    Ok(())
}

/// A part of a tree that fits in the budget, with its groups as nodes of the part.
struct Piece {
    tree: TokenTree,
    source: usize,
    groups: Vec<(usize, Vec<usize>)>,
}

fn pack_groups(
    trees: &[&PairedTree],
    token_budget: usize,
    groups_of: impl Fn(&PairedTree) -> Vec<Vec<usize>>,
) -> Result<Vec<GroupForest>> {
    let mut pieces = Vec::with_capacity(trees.len());
    for (source, tree) in trees.iter().enumerate() {
        let groups = groups_of(tree);
        if !groups.is_empty() {
            pieces.extend(cut(source, &tree.tree, &groups, token_budget)?);
        }
    }
    if pieces.is_empty() {
        return Ok(Vec::new());
    }
    let (token_trees, sources): (Vec<TokenTree>, Vec<_>) = pieces
        .into_iter()
        .map(|piece| (piece.tree, (piece.source, piece.groups)))
        .unzip();
    pack(&token_trees, token_budget)?
        .into_iter()
        .map(|members| {
            let forest = PackedForest::from_trees(members.iter().map(|&m| &token_trees[m]))?;
            let mut packed = Vec::new();
            for (place, &member) in members.iter().enumerate() {
                let (tree, groups) = &sources[member];
                packed.extend(groups.iter().map(|(index, nodes)| {
                    PackedGroup {
                        tree: *tree,
                        index: *index,
                        nodes: nodes
                            .iter()
                            .map(|&node| forest.node_index(place, node) as u32)
                            .collect(),
                    }
                }));
            }
            Ok(GroupForest {
                forest,
                groups: packed,
            })
        })
        .collect()
}

/// The root paths of a tree's groups, in as many pieces as the budget asks for.
fn cut(
    source: usize,
    tree: &TokenTree,
    groups: &[Vec<usize>],
    token_budget: usize,
) -> Result<Vec<Piece>> {
    let whole = tree.subtree(&groups.concat())?;
    let parts: Vec<_> = if whole.tree.unique_tokens() <= token_budget {
        vec![(whole, (0..groups.len()).collect())]
    } else {
        let split = tree.split(token_budget, groups)?;
        split
            .into_iter()
            .map(|piece| (piece.subtree, piece.groups))
            .collect()
    };
    let pieces = parts
        .into_iter()
        .map(|(mut part, indices): (_, Vec<usize>)| {
            let groups: Vec<(usize, Vec<usize>)> = indices
                .into_iter()
                .map(|index| {
                    let nodes = groups[index].iter().filter_map(|&node| part.index_of(node));
                    (index, nodes.collect())
                })
                .collect();
            for (node, token_node) in part.tree.nodes.iter_mut().enumerate() {
                token_node.trainable = groups.iter().any(|(_, nodes)| nodes.contains(&node));
            }
            Piece {
                tree: part.tree,
                source,
                groups,
            }
        });
    Ok(pieces.collect())
}
