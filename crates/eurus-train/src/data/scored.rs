//! Several scored responses to each prompt of a tree.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use token_forest::TokenTree;

use super::{ResponseTree, describe_tree, is_response, with_responses};
use crate::{Error, Result};

/// A response and its score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoredNode {
    /// The response.
    pub node: usize,
    /// How good it is: higher is better. Its scale is the loss's business.
    pub score: f32,
}

/// A tree with K scored responses to each of some prompts: rollouts that a reward model or tests have scored, or answers
/// with ratings. K is the same for all prompts of a tree; other trees may have another.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredTree {
    /// Names the example in messages.
    pub id: String,
    /// The tokens. Exactly the scored nodes, and the mismatched ones, are trainable.
    pub tree: TokenTree,
    /// The scored nodes, prompt by prompt.
    pub prompts: Vec<Vec<ScoredNode>>,
    /// Per prompt a node under it whose tokens come from another tree, if [`add_mismatched`](super::add_mismatched) was asked
    /// for them. The losses that there are do not look at them.
    pub mismatched: Vec<usize>,
}

impl ScoredTree {
    /// A tree from its tokens and the responses to each prompt. Nodes that no response needs are dropped.
    ///
    /// # Errors
    ///
    /// When the tree is malformed, there is no prompt, or the responses to one are fewer than two, more or fewer than those to
    /// another, no siblings, given twice, or have a score that is not finite.
    pub fn new(
        id: impl Into<String>,
        tree: &TokenTree,
        prompts: &[Vec<ScoredNode>],
    ) -> Result<Self> {
        let id = id.into();
        let Some(first) = prompts.first() else {
            return Err(Error::NothingTrainable { id });
        };
        for (prompt, responses) in prompts.iter().enumerate() {
            if let Some(problem) = problem_of(tree, responses, first.len()) {
                return Err(Error::BadScores {
                    id,
                    prompt,
                    problem,
                });
            }
        }
        let (tree, place) = with_responses(tree, prompts.iter().flatten().map(|it| it.node))?;
        let placed = |it: &ScoredNode| ScoredNode {
            node: place(it.node),
            ..*it
        };
        let prompts = prompts
            .iter()
            .map(|responses| responses.iter().map(placed).collect());
        Ok(Self {
            id,
            prompts: prompts.collect(),
            tree,
            mismatched: Vec::new(),
        })
    }
}

/// What is wrong with the responses to a prompt, of which there should be `count`.
fn problem_of(tree: &TokenTree, responses: &[ScoredNode], count: usize) -> Option<String> {
    if responses.len() < 2 {
        return Some(format!("{} responses, fewer than 2", responses.len()));
    }
    if responses.len() != count {
        return Some(format!(
            "{} responses, and {count} to the first prompt",
            responses.len()
        ));
    }
    for (index, &ScoredNode { node, score }) in responses.iter().enumerate() {
        let before = &responses[..index];
        if !is_response(tree, node) {
            return Some(format!("node {node} is a root or does not exist"));
        }
        if before.iter().any(|it| it.node == node) {
            return Some(format!("node {node} was given before"));
        }
        if tree.nodes[node].parent != tree.nodes[responses[0].node].parent {
            return Some(format!("node {node} answers another prompt"));
        }
        if !score.is_finite() {
            return Some(format!("the score of node {node} is {score}"));
        }
    }
    None
}

impl ResponseTree for ScoredTree {
    const GROUP: [&str; 2] = ["prompt", "prompts"];

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
        let responses = self.prompts.first().map_or(0, Vec::len);
        let column = |place: usize| self.prompts.iter().map(move |it| it[place].node).collect();
        (0..responses).map(column).collect()
    }

    fn mismatched(&self) -> &[usize] {
        &self.mismatched
    }

    fn describe(&self) -> Value {
        json!([
            describe_tree(&self.id, &self.tree),
            self.prompts,
            self.mismatched
        ])
    }
}
