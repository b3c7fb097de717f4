//! The packed forest: many token trees as flat arrays, every node once and no padding.

use std::ops::Range;

use crate::{Error, Result, TokenTree};

/// Many token trees in one sequence of tokens.
///
/// Trees follow each other in the order given, the nodes of each in depth-first order (children in order
/// of their index). A token attends to the earlier tokens of its own node and to all tokens of the node's
/// [ancestors](PackedForest::ancestors), nothing else; its position is its depth along that path. So every
/// path is computed as if it were alone.
///
/// ```
/// use token_forest::{PackedForest, TokenTree};
///
/// # fn main() -> token_forest::Result<()> {
/// let mut tree = TokenTree::new(vec![1, 2, 3], false);
/// tree.push(0, vec![4, 5], true);
/// tree.push(0, vec![6], true);
/// let forest = PackedForest::from_trees([&tree])?;
/// assert_eq!(forest.tokens, [1, 2, 3, 4, 5, 6]);
/// assert_eq!(forest.positions, [0, 1, 2, 3, 4, 3]); // both actions continue at 3
/// assert_eq!(forest.longest_paths, [5]);
/// // the first token of either action is predicted by the last token of the prompt
/// let predictors: Vec<u32> = forest.targets.iter().map(|t| t.predictor).collect();
/// assert_eq!(predictors, [2, 3, 2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedForest {
    /// The token ids. `[T]`
    pub tokens: Vec<u32>,
    /// The position of each token: its depth along its path, from 0. `[T]`
    pub positions: Vec<u32>,
    /// The node that each token belongs to, an index into `nodes`. `[T]`
    pub node_of: Vec<u32>,
    /// The nodes in depth-first order, parents before children.
    pub nodes: Vec<ForestNode>,
    /// The prediction targets, in the order of the predicted tokens (so grouped by node).
    pub targets: Vec<Target>,
    /// Tokens of the longest path of each tree. [`Pieces`](crate::Pieces) of a tree have that of the whole tree, so that a
    /// model that looks at lengths computes the same however small the pieces are.
    pub longest_paths: Vec<u32>,
    /// First entry of each tree in `lookup`.
    tree_starts: Vec<usize>,
    /// Forest node of each tree node, tree after tree.
    lookup: Vec<u32>,
}

/// A node of a packed forest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForestNode {
    /// The parent, an index into [`PackedForest::nodes`]; `None` for roots.
    pub parent: Option<u32>,
    /// Index of the node's first token.
    pub start: u32,
    /// Number of tokens of the node, at least 1.
    pub len: u32,
    /// Position of the node's first token: the number of tokens of its ancestors.
    pub path_start: u32,
    /// The tree that the node comes from, by its place in the list given.
    pub tree: u32,
    /// The node's index in that tree.
    pub tree_node: u32,
}

/// One token to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Index of the token whose hidden state predicts.
    pub predictor: u32,
    /// The token id to predict.
    pub token: u32,
    /// The node that the predicted token belongs to, an index into [`PackedForest::nodes`].
    pub node: u32,
}

impl PackedForest {
    /// Packs trees into one forest.
    ///
    /// Every token of a trainable node becomes a target, except the first token of a root, which nothing
    /// precedes.
    ///
    /// # Errors
    ///
    /// When there is no tree, or a tree is empty, has an empty node, a second root or a parent that does
    /// not come before its child; the error names the tree (by its place in the list) and the node.
    pub fn from_trees<'a>(trees: impl IntoIterator<Item = &'a TokenTree>) -> Result<Self> {
        let mut forest = Self {
            tokens: Vec::new(),
            positions: Vec::new(),
            node_of: Vec::new(),
            nodes: Vec::new(),
            targets: Vec::new(),
            longest_paths: Vec::new(),
            tree_starts: Vec::new(),
            lookup: Vec::new(),
        };
        for (index, tree) in trees.into_iter().enumerate() {
            forest.push_tree(tree).map_err(|e| e.in_tree(index))?;
        }
        if forest.nodes.is_empty() {
            return Err(Error::Empty {
                what: "forest",
                part: "tree",
            });
        }
        Ok(forest)
    }

    /// Number of tokens, `T`.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a forest is never empty")]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Number of nodes of all trees.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Number of trees.
    #[must_use]
    pub fn tree_count(&self) -> usize {
        self.tree_starts.len()
    }

    /// The forest node that a tree's node became.
    ///
    /// # Panics
    ///
    /// When the forest has no such tree, or the tree no such node.
    #[must_use]
    pub fn node_index(&self, tree: usize, tree_node: usize) -> usize {
        let start = self.tree_starts[tree];
        let end = self
            .tree_starts
            .get(tree + 1)
            .copied()
            .unwrap_or(self.lookup.len());
        self.lookup[start..end][tree_node] as usize
    }

    /// Index of the last token of a node: where a reward head reads the path that ends there.
    ///
    /// # Panics
    ///
    /// When the forest has no such node.
    #[must_use]
    pub fn end_of(&self, node: usize) -> u32 {
        let node = &self.nodes[node];
        node.start + node.len - 1
    }

    /// Indices of the tokens of a node.
    ///
    /// # Panics
    ///
    /// When the forest has no such node.
    #[must_use]
    pub fn tokens_of(&self, node: usize) -> Range<usize> {
        let node = &self.nodes[node];
        let start = node.start as usize;
        start..start + node.len as usize
    }

    /// Indices into [`PackedForest::targets`] of the targets of a node; empty when it is not trainable.
    ///
    /// # Panics
    ///
    /// When the forest has no such node.
    #[must_use]
    pub fn targets_of(&self, node: usize) -> Range<usize> {
        assert!(node < self.nodes.len(), "the forest has no node {node}");
        let from = self.targets.partition_point(|t| (t.node as usize) < node);
        let to = self.targets.partition_point(|t| (t.node as usize) <= node);
        from..to
    }

    /// The ancestors of a node, root first, without the node itself.
    ///
    /// # Panics
    ///
    /// When the forest has no such node.
    #[must_use]
    pub fn ancestors(&self, node: usize) -> Vec<u32> {
        let mut ancestors = Vec::new();
        let mut at = self.nodes[node].parent;
        while let Some(parent) = at {
            ancestors.push(parent);
            at = self.nodes[parent as usize].parent;
        }
        ancestors.reverse();
        ancestors
    }

    fn push_tree(&mut self, tree: &TokenTree) -> Result<()> {
        tree.validate()?;
        let total = self.tokens.len() + tree.unique_tokens();
        // The casts to `u32` below rely on this one check: there are no more nodes than tokens.
        if u32::try_from(total).is_err() {
            return Err(Error::ForestTooLarge { tokens: total });
        }
        let tree_index = self.tree_starts.len() as u32;
        let lookup_start = self.lookup.len();
        self.tree_starts.push(lookup_start);
        self.lookup.resize(lookup_start + tree.nodes.len(), 0);

        let children = tree.children();
        let mut stack = vec![0];
        while let Some(tree_node) = stack.pop() {
            let parent = tree.nodes[tree_node]
                .parent
                .map(|parent| self.lookup[lookup_start + parent]);
            self.lookup[lookup_start + tree_node] = self.nodes.len() as u32;
            self.push_node(tree, tree_node, tree_index, parent);
            stack.extend(children[tree_node].iter().rev());
        }
        self.longest_paths.push(tree.longest_path_tokens() as u32);
        Ok(())
    }

    fn push_node(
        &mut self,
        tree: &TokenTree,
        tree_node: usize,
        tree_index: u32,
        parent: Option<u32>,
    ) {
        let entry = &tree.nodes[tree_node];
        let index = self.nodes.len() as u32;
        let start = self.tokens.len() as u32;
        let len = entry.tokens.len() as u32;
        let path_start = parent.map_or(0, |parent| {
            let parent = &self.nodes[parent as usize];
            parent.path_start + parent.len
        });
        if entry.trainable {
            let before = parent.map(|parent| self.end_of(parent as usize));
            let predictors = before.into_iter().chain(start..start + len - 1);
            // A root's first token has no predictor, so its targets begin at the second.
            let tokens = &entry.tokens[usize::from(before.is_none())..];
            self.targets
                .extend(predictors.zip(tokens).map(|(predictor, &token)| Target {
                    predictor,
                    token,
                    node: index,
                }));
        }
        self.tokens.extend_from_slice(&entry.tokens);
        self.positions.extend(path_start..path_start + len);
        self.node_of
            .extend(std::iter::repeat_n(index, entry.tokens.len()));
        self.nodes.push(ForestNode {
            parent,
            start,
            len,
            path_start,
            tree: tree_index,
            tree_node: tree_node as u32,
        });
    }
}
