//! What can go wrong between text and packed tokens.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate: what was wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something was wrong with one tree of several.
    #[error("tree {tree}: {problem}")]
    InTree {
        /// Name of the tree: its id, or its index in the list given.
        tree: String,
        /// What was wrong with it.
        problem: Box<Error>,
    },

    // ---- shape of a tree
    /// A tree without nodes, or a forest without trees.
    #[error("there is nothing here: a {what} needs at least one {part}")]
    Empty {
        /// What was empty.
        what: &'static str,
        /// What it needs.
        part: &'static str,
    },
    /// A node without tokens, which nothing could attend to or be predicted by.
    #[error(
        "node {node} has no tokens; drop it and attach its children to its parent, \
         or give it the tokens of its message"
    )]
    EmptyNode {
        /// Index of the node in its tree.
        node: usize,
    },
    /// The first node has a parent.
    #[error("node 0 has the parent {parent}, but it must be the root; list the root first")]
    RootHasParent {
        /// The parent that it names.
        parent: usize,
    },
    /// A node other than the first has no parent.
    #[error(
        "node {node} has no parent, but only node 0 may be a root; \
         make a tree of its own for it or name its parent"
    )]
    SecondRoot {
        /// Index of the node in its tree.
        node: usize,
    },
    /// The parent of a node does not come before the node.
    #[error("node {node} names node {parent} as its parent; list parents before their children")]
    ParentNotBefore {
        /// Index of the node in its tree.
        node: usize,
        /// The parent that it names.
        parent: usize,
    },
    /// A node index outside of the tree.
    #[error("node {node} does not exist: the tree has {nodes} nodes")]
    NoSuchNode {
        /// The index asked for.
        node: usize,
        /// Number of nodes of the tree.
        nodes: usize,
    },
    /// More tokens than a packed forest can index.
    #[error(
        "{tokens} tokens do not fit in one forest (32-bit indices); pack with a smaller budget"
    )]
    ForestTooLarge {
        /// Number of tokens of all trees.
        tokens: usize,
    },
}

impl Error {
    /// Says in which tree the error happened.
    #[must_use]
    pub fn in_tree(self, tree: impl std::fmt::Display) -> Self {
        Self::InTree {
            tree: tree.to_string(),
            problem: Box::new(self),
        }
    }
}
