//! What preference losses need of a tree.

use serde_json::Value;
use token_forest::TokenTree;

/// A tree with responses whose log-probs a preference loss looks at, in groups of one size in each tree:
/// [`PairedTree`](super::PairedTree) with two in a group, [`LabelledTree`](super::LabelledTree) with one,
/// [`ScoredTree`](super::ScoredTree) with K.
pub trait ResponseTree {
    /// What a group is called in messages, and what several are.
    const GROUP: [&str; 2];

    /// Names the example in messages.
    fn id(&self) -> &str;

    /// The tokens.
    fn tree(&self) -> &TokenTree;

    /// The tokens and the mismatched nodes, to add some.
    fn tree_mut(&mut self) -> (&mut TokenTree, &mut Vec<usize>);

    /// The nodes of all groups by their place in the group: the first ones of all groups come first.
    fn columns(&self) -> Vec<Vec<usize>>;

    /// A node for each group, under its first node's prompt, whose tokens come from another tree. May be empty.
    fn mismatched(&self) -> &[usize];

    /// Everything of the example that a run depends on.
    fn describe(&self) -> Value;

    /// The nodes that a loss looks at together.
    fn groups(&self) -> Vec<Vec<usize>> {
        let columns = self.columns();
        let count = columns.first().map_or(0, Vec::len);
        let group = |index: usize| columns.iter().map(|column| column[index]).collect();
        (0..count).map(group).collect()
    }

    /// Tokens of what is trained, each node once.
    fn trained_tokens(&self) -> usize {
        let tree = self.tree();
        let of_mismatched = |&leaf: &usize| tree.nodes[leaf].tokens.len();
        tree.unique_tokens() - self.mismatched().iter().map(of_mismatched).sum::<usize>()
    }
}
