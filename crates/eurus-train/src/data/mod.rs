//! What trainers train on: token trees, with the responses in them that count.

mod labelled;
mod mismatched;
mod order;
mod paired;
mod responses;
mod scored;

use std::collections::HashSet;

use serde_json::{Value, json};
use token_forest::TokenTree;

use crate::{Error, Result};

pub use labelled::{LabelledNode, LabelledTree};
pub use mismatched::add_mismatched;
pub(crate) use order::step_order;
pub use paired::{NodePair, PairedTree, RewardLabels};
pub use responses::ResponseTree;
pub use scored::{ScoredNode, ScoredTree};

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

/// Whether there is such a node, and a prompt before it.
fn is_response(tree: &TokenTree, node: usize) -> bool {
    tree.nodes
        .get(node)
        .is_some_and(|node| node.parent.is_some())
}

/// The part of a tree that some responses need, trainable in exactly these, and where a response is in it.
fn with_responses(
    tree: &TokenTree,
    responses: impl Iterator<Item = usize>,
) -> Result<(TokenTree, impl Fn(usize) -> usize)> {
    let used: HashSet<usize> = responses.collect();
    let mut keep: Vec<usize> = used.iter().copied().collect();
    keep.sort_unstable();
    let part = tree.subtree(&keep)?;
    let mut tree = part.tree;
    for (node, old) in tree.nodes.iter_mut().zip(&part.nodes) {
        node.trainable = used.contains(old);
    }
    let place = move |old: usize| part.nodes.binary_search(&old).unwrap_or_default();
    Ok((tree, place))
}

/// Everything of an example that a run depends on.
pub(crate) fn describe_tree(id: &str, tree: &TokenTree) -> Value {
    let nodes: Vec<_> = tree
        .nodes
        .iter()
        .map(|node| (node.parent, &node.tokens, node.trainable))
        .collect();
    json!([id, nodes])
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
