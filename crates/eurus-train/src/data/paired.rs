//! Preference pairs of one tree.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use token_forest::{ChatTokenizer, TokenTree};
use ultrainteract::{NodeId, PreferenceTree};

use super::{ResponseTree, describe_tree, is_response, with_responses};
use crate::{Error, Result};

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
    /// [`add_mismatched`](super::add_mismatched) fills it.
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
            } else if let Some(node) = [pair.chosen, pair.rejected]
                .into_iter()
                .find(|&node| !is_response(tree, node))
            {
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
        let responses = pairs.iter().flat_map(|pair| [pair.chosen, pair.rejected]);
        let (tree, place) = with_responses(tree, responses)?;
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

impl ResponseTree for PairedTree {
    const GROUP: [&str; 2] = ["pair", "pairs"];

    fn id(&self) -> &str {
        &self.id
    }

    fn tree(&self) -> &TokenTree {
        &self.tree
    }

    fn tree_mut(&mut self) -> (&mut TokenTree, &mut Vec<usize>) {
        (&mut self.tree, &mut self.mismatched)
    }

    fn columns(&self) -> Vec<Vec<usize>> {
        let chosen = self.pairs.iter().map(|pair| pair.chosen);
        let rejected = self.pairs.iter().map(|pair| pair.rejected);
        vec![chosen.collect(), rejected.collect()]
    }

    fn mismatched(&self) -> &[usize] {
        &self.mismatched
    }

    fn describe(&self) -> Value {
        let pairs: Vec<_> = self
            .pairs
            .iter()
            .map(|pair| (pair.chosen, pair.rejected))
            .collect();
        json!([describe_tree(&self.id, &self.tree), pairs, self.mismatched])
    }
}
