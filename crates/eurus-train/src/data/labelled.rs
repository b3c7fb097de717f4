//! Responses of one tree that have a verdict each.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use token_forest::{ChatTokenizer, TokenTree};
use ultrainteract::{Node, NodeId, PreferenceTree, Verdict};

use super::{ResponseTree, describe_tree, is_response, with_responses};
use crate::{Error, Result};

/// A response and its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LabelledNode {
    /// The response.
    pub node: usize,
    /// Whether it is one to learn, rather than one to unlearn.
    pub desirable: bool,
}

/// A tree with responses that were judged one by one: rollouts of a prompt that are right or wrong, say. They need no
/// partner, and a tree may have any number of either kind.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledTree {
    /// Names the example in messages.
    pub id: String,
    /// The tokens. Exactly the judged nodes, and the mismatched ones, are trainable.
    pub tree: TokenTree,
    /// The judged nodes.
    pub responses: Vec<LabelledNode>,
    /// Per response a node under the same prompt whose tokens come from another tree; for KL estimates. Empty until
    /// [`add_mismatched`](super::add_mismatched) fills it.
    pub mismatched: Vec<usize>,
}

impl LabelledTree {
    /// A tree from its tokens and verdicts. Nodes that no response needs are dropped.
    ///
    /// # Errors
    ///
    /// When the tree is malformed, there is no response, or a response is a root, does not exist or is given twice.
    pub fn new(
        id: impl Into<String>,
        tree: &TokenTree,
        responses: &[LabelledNode],
    ) -> Result<Self> {
        let id = id.into();
        if responses.is_empty() {
            return Err(Error::NothingTrainable { id });
        }
        let mut seen = HashSet::new();
        for (index, &LabelledNode { node, .. }) in responses.iter().enumerate() {
            let problem = if !is_response(tree, node) {
                format!("node {node} is a root or does not exist")
            } else if !seen.insert(node) {
                format!("node {node} was given before")
            } else {
                continue;
            };
            return Err(Error::BadResponse {
                id,
                response: index,
                problem,
            });
        }
        let (tree, place) = with_responses(tree, responses.iter().map(|it| it.node))?;
        let responses = responses.iter().map(|it| LabelledNode {
            node: place(it.node),
            ..*it
        });
        Ok(Self {
            id,
            responses: responses.collect(),
            tree,
            mismatched: Vec::new(),
        })
    }

    /// Tokenizes a preference tree. Its correct actions are desirable, its incorrect ones are not, and what was not judged
    /// is history; whether an action is in a pair does not matter.
    ///
    /// # Errors
    ///
    /// When no action was judged or the chat template does not fit.
    pub fn from_preference_tree(tree: &PreferenceTree, tokenizer: &ChatTokenizer) -> Result<Self> {
        let tokens = tokenizer.encode_tree(tree, |_| true)?;
        let judged = |(id, node): (NodeId, &Node)| match node.action()?.verdict {
            Verdict::Unjudged => None,
            verdict => Some(LabelledNode {
                node: id.index(),
                desirable: verdict == Verdict::Correct,
            }),
        };
        let responses: Vec<LabelledNode> = tree.nodes().filter_map(judged).collect();
        Self::new(tree.id(), &tokens, &responses)
    }
}

impl ResponseTree for LabelledTree {
    const GROUP: [&str; 2] = ["response", "responses"];

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
        vec![self.responses.iter().map(|it| it.node).collect()]
    }

    fn mismatched(&self) -> &[usize] {
        &self.mismatched
    }

    fn describe(&self) -> Value {
        let responses: Vec<_> = self
            .responses
            .iter()
            .map(|it| (it.node, it.desirable))
            .collect();
        json!([
            describe_tree(&self.id, &self.tree),
            responses,
            self.mismatched
        ])
    }
}
