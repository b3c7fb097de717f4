//! Trees of a step into forests of bounded size.

use std::collections::BTreeMap;
use std::iter::Sum;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use token_forest::{PackedForest, TokenTree, pack};

use crate::Result;
use crate::data::ResponseTree;
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

/// Numbers of a forest's groups, kept to tell which of them is not finite.
pub(crate) struct GroupTerms {
    pub groups: Vec<PackedGroup>,
    /// In the order in which they come about: name and values `[groups]`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

impl GroupTerms {
    /// What went wrong first, group by group. A group is called `noun`, `id` names a tree.
    pub fn name<'a>(self, noun: &str, id: impl Fn(usize) -> &'a str) -> Vec<String> {
        let mut wrong: Vec<Option<String>> = vec![None; self.groups.len()];
        for (name, values) in self.terms {
            let values = values.into_data();
            for ((value, group), wrong) in values.iter::<f32>().zip(&self.groups).zip(&mut wrong) {
                if !value.is_finite() && wrong.is_none() {
                    let (id, index) = (id(group.tree), group.index);
                    *wrong = Some(format!("{name} in {noun} {index} of `{id}` is {value}"));
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

    /// The groups, those of one size together.
    pub fn groups_by_size(&self) -> Vec<Vec<PackedGroup>> {
        let mut by_size: BTreeMap<usize, Vec<PackedGroup>> = BTreeMap::new();
        for group in &self.groups {
            let size = group.nodes.len();
            by_size.entry(size).or_default().push(group.clone());
        }
        by_size.into_values().collect()
    }
}

/// What a step's groups come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct GroupCounts {
    pub groups: usize,
    /// Target tokens of the groups' first responses.
    pub first_tokens: usize,
    /// Tokens of the forests.
    pub unique_tokens: usize,
}

impl GroupCounts {
    /// Those of some forests.
    pub fn of(forests: &[GroupForest]) -> Self {
        let of_forest = |packed: &GroupForest| {
            let counts = node_target_counts(&packed.forest);
            Self {
                groups: packed.groups.len(),
                first_tokens: packed
                    .column(0)
                    .map(|node| counts[node as usize] as usize)
                    .sum(),
                unique_tokens: packed.forest.len(),
            }
        };
        forests.iter().map(of_forest).sum()
    }
}

impl Sum for GroupCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |a, b| Self {
            groups: a.groups + b.groups,
            first_tokens: a.first_tokens + b.first_tokens,
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

/// Forests of the trees' groups. Mismatched leaves are left out.
pub(crate) fn pack_responses<T: ResponseTree>(
    trees: &[&T],
    token_budget: usize,
) -> Result<Vec<GroupForest>> {
    pack_groups(trees, token_budget, T::groups)
}

/// Forests of all that a reference model is asked for: the trees' groups and, after these, their mismatched leaves.
pub(crate) fn pack_reference<T: ResponseTree>(
    trees: &[&T],
    token_budget: usize,
) -> Result<Vec<GroupForest>> {
    pack_groups(trees, token_budget, |tree| {
        let mut groups = tree.groups();
        groups.extend(mismatched_groups(tree));
        groups
    })
}

/// Forests of the trees' mismatched leaves under their prompts, one node a group, nothing else.
pub(crate) fn pack_mismatched<T: ResponseTree>(
    trees: &[&T],
    token_budget: usize,
) -> Result<Vec<GroupForest>> {
    pack_groups(trees, token_budget, mismatched_groups)
}

fn mismatched_groups<T: ResponseTree>(tree: &T) -> Vec<Vec<usize>> {
    tree.mismatched().iter().map(|&leaf| vec![leaf]).collect()
}

/// Tokens of the pieces that a tree's groups are packed in: one, unless they do not fit in a forest.
pub(crate) fn response_pieces<T: ResponseTree>(
    tree: &T,
    token_budget: usize,
) -> Result<Vec<usize>> {
    let tokens = tree.trained_tokens();
    if tokens <= token_budget {
        return Ok(vec![tokens]);
    }
    let pieces = cut(0, tree.tree(), &tree.groups(), token_budget)?;
    Ok(pieces
        .iter()
        .map(|piece| piece.tree.unique_tokens())
        .collect())
}

/// The same of a tree that is packed whole.
pub(crate) fn tree_pieces(tree: &TokenTree, token_budget: usize) -> Result<Vec<usize>> {
    let tokens = tree.unique_tokens();
    if tokens <= token_budget {
        return Ok(vec![tokens]);
    }
    let pieces = tree.split(token_budget, &[])?;
    let size = |piece: &token_forest::Piece| piece.subtree.tree.unique_tokens();
    Ok(pieces.iter().map(size).collect())
}

/// Checks that every group and every mismatched leaf fits in a forest, so that no step fails for its size.
pub(crate) fn check_budget<T: ResponseTree>(trees: &[T], token_budget: usize) -> Result<()> {
    for tree in trees {
        if tree.tree().unique_tokens() > token_budget {
            pack_responses(&[tree], token_budget)?;
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

fn pack_groups<T: ResponseTree>(
    trees: &[&T],
    token_budget: usize,
    groups_of: impl Fn(&T) -> Vec<Vec<usize>>,
) -> Result<Vec<GroupForest>> {
    let mut pieces = Vec::with_capacity(trees.len());
    for (source, tree) in trees.iter().enumerate() {
        let groups = groups_of(tree);
        if !groups.is_empty() {
            pieces.extend(cut(source, tree.tree(), &groups, token_budget)?);
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
