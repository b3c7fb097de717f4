//! What trainers train on: token trees, with the pairs in them.

use std::collections::HashSet;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use token_forest::{ChatTokenizer, TokenTree};
use ultrainteract::{NodeId, PreferenceTree};

use crate::{Error, Result};

/// A tree whose trainable nodes are to be imitated. A conversation is a tree with one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftTree {
    /// Names the example in messages.
    pub id: String,
    /// The tokens.
    pub tree: TokenTree,
}

impl SftTree {
    /// An example from its tokens.
    ///
    /// # Errors
    ///
    /// When the tree is malformed or nothing in it can be trained on.
    pub fn new(id: impl Into<String>, tree: TokenTree) -> Result<Self> {
        let id = id.into();
        tree.validate()?;
        let trainable = tree
            .nodes
            .iter()
            .any(|node| node.trainable && (node.parent.is_some() || node.tokens.len() > 1));
        if !trainable {
            return Err(Error::NothingTrainable { id });
        }
        Ok(Self { id, tree })
    }
}

/// A chosen and a rejected node of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodePair {
    /// The better response.
    pub chosen: usize,
    /// The worse response.
    pub rejected: usize,
}

/// What a reward model's loss is told of a tree's pairs beside their order. The default tells nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RewardLabels {
    /// The pairs are ranked alone, without direct rewards: their rejected responses are worse, but not wrong, as in chat
    /// data. Losses without a direct-reward term do not look at it.
    pub ranked_alone: bool,
    /// By how much each pair's chosen reward should lead; empty for no margins.
    pub margins: Vec<f32>,
}

/// A tree with preference pairs among its nodes. The two nodes of a pair are the only ones that losses look at.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedTree {
    /// Names the example in messages.
    pub id: String,
    /// The tokens. Exactly the nodes of pairs, and the mismatched ones, are trainable.
    pub tree: TokenTree,
    /// The pairs.
    pub pairs: Vec<NodePair>,
    /// Per pair a node under the same prompt whose tokens come from another tree; for KL estimates. Empty until
    /// [`add_mismatched`] fills it.
    pub mismatched: Vec<usize>,
    /// For reward models.
    pub labels: RewardLabels,
}

impl PairedTree {
    /// A tree from its tokens and pairs. Nodes that no pair needs are dropped.
    ///
    /// # Errors
    ///
    /// When the tree is malformed, there is no pair, or a pair names a root, a node twice or one that does not exist.
    pub fn new(id: impl Into<String>, tree: &TokenTree, pairs: &[NodePair]) -> Result<Self> {
        let id = id.into();
        if pairs.is_empty() {
            return Err(Error::NothingTrainable { id });
        }
        for (index, pair) in pairs.iter().enumerate() {
            let problem = if pair.chosen == pair.rejected {
                "chosen and rejected are the same node".to_owned()
            } else if let Some(node) = [pair.chosen, pair.rejected].into_iter().find(|&node| {
                tree.nodes
                    .get(node)
                    .is_none_or(|node| node.parent.is_none())
            }) {
                format!("node {node} is a root or does not exist")
            } else {
                continue;
            };
            return Err(Error::BadPair {
                id,
                pair: index,
                problem,
            });
        }
        let used: HashSet<usize> = pairs
            .iter()
            .flat_map(|pair| [pair.chosen, pair.rejected])
            .collect();
        let mut keep: Vec<usize> = used.iter().copied().collect();
        keep.sort_unstable();
        let part = tree.subtree(&keep)?;
        let mut tree = part.tree;
        for (node, &old) in tree.nodes.iter_mut().zip(&part.nodes) {
            node.trainable = used.contains(&old);
        }
        let place = |old: usize| part.nodes.binary_search(&old).unwrap_or_default();
        let pairs = pairs
            .iter()
            .map(|pair| NodePair {
                chosen: place(pair.chosen),
                rejected: place(pair.rejected),
            })
            .collect();
        Ok(Self {
            id,
            tree,
            pairs,
            mismatched: Vec::new(),
            labels: RewardLabels::default(),
        })
    }

    /// The same tree with labels for a reward model.
    ///
    /// # Errors
    ///
    /// When there is another number of margins than of pairs, or one that is not finite.
    pub fn with_labels(mut self, labels: RewardLabels) -> Result<Self> {
        let margins = &labels.margins;
        if !margins.is_empty() && margins.len() != self.pairs.len() {
            return Err(Error::BadPair {
                id: self.id,
                pair: margins.len().min(self.pairs.len()),
                problem: format!("{} pairs, and {} margins", self.pairs.len(), margins.len()),
            });
        }
        if let Some(pair) = margins.iter().position(|margin| !margin.is_finite()) {
            let problem = format!("the margin is {}", margins[pair]);
            return Err(Error::BadPair {
                id: self.id,
                pair,
                problem,
            });
        }
        self.labels = labels;
        Ok(self)
    }

    /// Tokenizes a preference tree. Its pairs become pairs of nodes; each history is there once.
    ///
    /// # Errors
    ///
    /// When the tree has no pair or the chat template does not fit.
    pub fn from_preference_tree(tree: &PreferenceTree, tokenizer: &ChatTokenizer) -> Result<Self> {
        let tokens = tokenizer.encode_tree(tree, |_: NodeId| true)?;
        let pairs: Vec<NodePair> = tree
            .pairs()
            .iter()
            .map(|pair| NodePair {
                chosen: pair.chosen.index(),
                rejected: pair.rejected.index(),
            })
            .collect();
        Self::new(tree.id(), &tokens, &pairs)
    }
}

/// Gives every pair one mismatched completion: the chosen response of a pair of another tree, as one more leaf under
/// the pair's prompt. Siblings share a prompt, so the completion must come from another tree, not merely another row.
///
/// The choice depends on the seed alone and not on the order of training, so reference log-probs of these leaves are
/// computed once like all others and the trees can be shuffled.
///
/// # Errors
///
/// [`Error::OneTreeForKl`] when there is no other tree.
pub fn add_mismatched(trees: &mut [PairedTree], seed: u64) -> Result<()> {
    if trees.len() < 2 {
        return Err(Error::OneTreeForKl);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let completions: Vec<Vec<Vec<u32>>> = trees
        .iter()
        .map(|tree| {
            let tokens = |pair: &NodePair| tree.tree.nodes[pair.chosen].tokens.clone();
            tree.pairs.iter().map(tokens).collect()
        })
        .collect();
    let count = trees.len();
    for (index, tree) in trees.iter_mut().enumerate() {
        tree.mismatched.clear();
        for pair in tree.pairs.clone() {
            let other = (index + 1 + rng.random_range(0..count - 1)) % count;
            let tokens = completions[other][rng.random_range(0..completions[other].len())].clone();
            // A pair's nodes are no roots.
            if let Some(prompt) = tree.tree.nodes[pair.chosen].parent {
                let leaf = tree.tree.push(prompt, tokens, true);
                tree.mismatched.push(leaf);
            }
        }
    }
    Ok(())
}

/// The trees of every step of a run, by index: each epoch in a new order.
pub(crate) fn step_order(
    trees: usize,
    trees_per_step: usize,
    steps: usize,
    seed: u64,
) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..trees).collect();
    let mut result = Vec::with_capacity(steps);
    while result.len() < steps {
        order.shuffle(&mut rng);
        result.extend(order.chunks(trees_per_step).map(<[usize]>::to_vec));
    }
    result.truncate(steps);
    result
}

/// Checks path lengths and token ids before anything is computed.
pub(crate) fn check_trees<'a>(
    trees: impl Iterator<Item = (&'a str, &'a TokenTree)>,
    limit: usize,
    vocab_size: usize,
) -> Result<()> {
    for (id, tree) in trees {
        let mut tokens = tree.nodes.iter().flat_map(|node| &node.tokens);
        if let Some(&token) = tokens.find(|&&token| token as usize >= vocab_size) {
            return Err(Error::UnknownToken {
                id: id.to_owned(),
                token,
                vocab_size,
            });
        }
        let tokens = tree.longest_path_tokens();
        if tokens > limit {
            return Err(Error::PathTooLong {
                id: id.to_owned(),
                tokens,
                limit,
            });
        }
    }
    Ok(())
}
