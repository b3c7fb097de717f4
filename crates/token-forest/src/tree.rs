//! The token tree: one conversation, or many that share their beginnings.

use crate::{Error, Result};

/// One node: the tokens that it adds to the path above it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TokenNode {
    /// Index of the parent in [`TokenTree::nodes`]; `None` for the root alone.
    pub parent: Option<usize>,
    /// The tokens of this node, without those of its ancestors.
    pub tokens: Vec<u32>,
    /// Whether the node's tokens are to be predicted (an action) or only read (a prompt).
    pub trainable: bool,
}

/// A tree of token sequences, in which every root-to-leaf path is one conversation.
///
/// Parents come before their children and node 0 is the root. A conversation without branches is a
/// tree with one path; a preference pair is a tree with two leaves; N rollouts of one prompt are a tree
/// with N leaves.
///
/// The field is public so that trees can be made by any means; [`TokenTree::validate`] checks the
/// rules. The other methods never fail to return on a tree that breaks them: a parent that does not
/// come before its child counts as none.
///
/// ```
/// use token_forest::TokenTree;
///
/// # fn main() -> token_forest::Result<()> {
/// let mut tree = TokenTree::new(vec![1, 2, 3], false); // the prompt
/// let chosen = tree.push(0, vec![4, 5], true);
/// let rejected = tree.push(0, vec![6], true);
/// tree.validate()?;
/// assert_eq!(tree.path_tokens(chosen), [1, 2, 3, 4, 5]);
/// assert_eq!(tree.unique_tokens(), 6);
/// assert_eq!(tree.naive_tokens(&[(chosen, rejected)]), 5 + 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct TokenTree {
    /// The nodes, parents before children.
    pub nodes: Vec<TokenNode>,
}

impl TokenTree {
    /// A tree of one node, its root.
    #[must_use]
    pub fn new(tokens: Vec<u32>, trainable: bool) -> Self {
        Self {
            nodes: vec![TokenNode {
                parent: None,
                tokens,
                trainable,
            }],
        }
    }

    /// Adds a node below `parent` and returns its index.
    ///
    /// Nothing is checked here; see [`TokenTree::validate`].
    pub fn push(&mut self, parent: usize, tokens: Vec<u32>, trainable: bool) -> usize {
        self.nodes.push(TokenNode {
            parent: Some(parent),
            tokens,
            trainable,
        });
        self.nodes.len() - 1
    }

    /// Checks that there is a root, that parents come before children and that no node is empty.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, with the node that breaks it.
    pub fn validate(&self) -> Result<()> {
        if self.nodes.is_empty() {
            return Err(Error::Empty {
                what: "tree",
                part: "node",
            });
        }
        for (node, entry) in self.nodes.iter().enumerate() {
            match entry.parent {
                Some(parent) if node == 0 => return Err(Error::RootHasParent { parent }),
                None if node > 0 => return Err(Error::SecondRoot { node }),
                Some(parent) if parent >= node => {
                    return Err(Error::ParentNotBefore { node, parent });
                }
                _ => {}
            }
            if entry.tokens.is_empty() {
                return Err(Error::EmptyNode { node });
            }
        }
        Ok(())
    }

    /// The children of every node, in order of their index.
    #[must_use]
    pub fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for node in 0..self.nodes.len() {
            if let Some(parent) = self.parent(node) {
                children[parent].push(node);
            }
        }
        children
    }

    /// The nodes without children, in order of their index.
    #[must_use]
    pub fn leaves(&self) -> Vec<usize> {
        let mut is_leaf = vec![true; self.nodes.len()];
        for node in 0..self.nodes.len() {
            if let Some(parent) = self.parent(node) {
                is_leaf[parent] = false;
            }
        }
        (0..self.nodes.len())
            .filter(|&node| is_leaf[node])
            .collect()
    }

    /// The nodes from the root to `node`, both included.
    ///
    /// # Panics
    ///
    /// When `node` is not a node of the tree.
    #[must_use]
    pub fn path(&self, node: usize) -> Vec<usize> {
        let mut path = vec![node];
        let mut at = node;
        while let Some(parent) = self.parent(at) {
            path.push(parent);
            at = parent;
        }
        path.reverse();
        path
    }

    /// The tokens from the root to `node`, both included.
    ///
    /// # Panics
    ///
    /// When `node` is not a node of the tree.
    #[must_use]
    pub fn path_tokens(&self, node: usize) -> Vec<u32> {
        self.path(node)
            .into_iter()
            .flat_map(|n| self.nodes[n].tokens.iter().copied())
            .collect()
    }

    /// The token sequences of all root-to-leaf paths, in the order of [`TokenTree::leaves`].
    #[must_use]
    pub fn paths(&self) -> Vec<Vec<u32>> {
        self.leaves()
            .into_iter()
            .map(|leaf| self.path_tokens(leaf))
            .collect()
    }

    /// Number of tokens from the root to each node, both included.
    #[must_use]
    pub fn path_lengths(&self) -> Vec<usize> {
        let mut lengths: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for (node, entry) in self.nodes.iter().enumerate() {
            let above = self.parent(node).map_or(0, |parent| lengths[parent]);
            lengths.push(above + entry.tokens.len());
        }
        lengths
    }

    /// Number of tokens of the longest path: the context that a model needs for this tree.
    #[must_use]
    pub fn longest_path_tokens(&self) -> usize {
        self.path_lengths().into_iter().max().unwrap_or(0)
    }

    /// Number of tokens of the tree, each node counted once: what a packed forest computes.
    #[must_use]
    pub fn unique_tokens(&self) -> usize {
        self.nodes.iter().map(|node| node.tokens.len()).sum()
    }

    /// Number of tokens that `pairs` of nodes cost when each side is a sequence of its own.
    ///
    /// # Panics
    ///
    /// When a pair names a node that the tree does not have.
    #[must_use]
    pub fn naive_tokens(&self, pairs: &[(usize, usize)]) -> usize {
        let lengths = self.path_lengths();
        pairs
            .iter()
            .map(|&(chosen, rejected)| lengths[chosen] + lengths[rejected])
            .sum()
    }

    /// The parent of a node; one that does not come before the node counts as none, so that no walk
    /// upwards can run in a circle.
    pub(crate) fn parent(&self, node: usize) -> Option<usize> {
        self.nodes[node].parent.filter(|&parent| parent < node)
    }
}
