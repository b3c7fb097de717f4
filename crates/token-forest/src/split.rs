//! Smaller trees out of a tree: the paths of some nodes, or pieces that each fit in a budget.

use std::collections::BTreeSet;

use crate::{Error, Result, TokenTree};

/// Part of a tree that is a tree itself, and where its nodes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtree {
    /// The part, with the nodes in their old order.
    pub tree: TokenTree,
    /// The index in the whole tree of each node of the part; ascending.
    pub nodes: Vec<usize>,
}

impl Subtree {
    /// Where a node of the whole tree is in this part, if it is here.
    #[must_use]
    pub fn index_of(&self, node: usize) -> Option<usize> {
        self.nodes.binary_search(&node).ok()
    }
}

/// One of the subtrees that [`TokenTree::split`] makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The nodes of the piece.
    pub subtree: Subtree,
    /// The groups that this piece holds, by their index in the list given; ascending.
    pub groups: Vec<usize>,
}

impl TokenTree {
    /// The tree of the root paths of `keep`.
    ///
    /// ```
    /// use token_forest::TokenTree;
    ///
    /// # fn main() -> token_forest::Result<()> {
    /// let mut tree = TokenTree::new(vec![1], false);
    /// let left = tree.push(0, vec![2], true);
    /// let right = tree.push(0, vec![3], true);
    /// let part = tree.subtree(&[right])?;
    /// assert_eq!(part.tree.paths(), [[1, 3]]);
    /// assert_eq!((part.index_of(left), part.index_of(right)), (None, Some(1)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the tree is malformed, `keep` is empty or names a node that does not exist.
    pub fn subtree(&self, keep: &[usize]) -> Result<Subtree> {
        self.validate()?;
        let nodes = self.root_paths(keep)?;
        Ok(self.part(nodes.into_iter().collect(), |_| true))
    }

    /// Splits the tree into subtrees of at most `budget` tokens each.
    ///
    /// Each of `groups` is a set of nodes that must meet in one piece, such as the two actions of a pair;
    /// a leaf in no group is a group of its own, so every path of the tree is in some piece. Pieces repeat
    /// the history that their groups share. Groups are taken in depth-first order and each goes where it
    /// adds the fewest tokens, so the result depends on nothing but the arguments.
    ///
    /// A trainable node stays trainable in every piece that holds one of its groups (a node in no group: in
    /// the first piece that has it); elsewhere it is repeated as history only and its `trainable` is false,
    /// so that a split does not count it twice.
    ///
    /// ```
    /// use token_forest::TokenTree;
    ///
    /// # fn main() -> token_forest::Result<()> {
    /// let mut tree = TokenTree::new(vec![1, 2], false);
    /// for token in 3..7 {
    ///     tree.push(0, vec![token], true);
    /// }
    /// let pieces = tree.split(4, &[vec![1, 2], vec![3, 4]])?;
    /// assert_eq!(pieces.len(), 2);
    /// assert_eq!(pieces[0].subtree.tree.paths(), [[1, 2, 3], [1, 2, 4]]);
    /// assert_eq!(pieces[1].groups, [1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the tree is malformed, a group is empty or names a node that does not exist, or the paths of one
    /// group alone are longer than the budget.
    pub fn split(&self, budget: usize, groups: &[Vec<usize>]) -> Result<Vec<Piece>> {
        self.validate()?;
        let members = self.groups_in_depth_first_order(groups)?;

        let mut drafts: Vec<Draft> = Vec::new();
        for group in members {
            let closure = self.root_paths(&group.nodes)?;
            let alone = self.tokens_in(&closure);
            if alone > budget {
                return Err(Error::GroupTooLong {
                    longest_path: self.subtree(&group.nodes)?.tree.longest_path_tokens(),
                    nodes: group.nodes,
                    tokens: alone,
                    budget,
                });
            }
            let added = |draft: &Draft| self.tokens_in(closure.difference(&draft.nodes));
            let best = drafts
                .iter()
                .enumerate()
                .map(|(index, draft)| (added(draft), index))
                .filter(|&(added, index)| drafts[index].tokens + added <= budget)
                .min();
            let (added, index) = best.unwrap_or_else(|| {
                drafts.push(Draft::default());
                (alone, drafts.len() - 1)
            });
            drafts[index].add(group, closure, added);
        }

        let grouped: BTreeSet<usize> = groups.iter().flatten().copied().collect();
        let mut seen = BTreeSet::new();
        let mut pieces = Vec::with_capacity(drafts.len());
        for mut draft in drafts {
            let subtree = self.part(draft.nodes.iter().copied().collect(), |node| {
                draft.members.contains(&node) || (!grouped.contains(&node) && !seen.contains(&node))
            });
            seen.extend(draft.nodes);
            draft.groups.sort_unstable();
            pieces.push(Piece {
                subtree,
                groups: draft.groups,
            });
        }
        Ok(pieces)
    }

    /// The groups and the leaves in none of them, in depth-first order of their nodes.
    fn groups_in_depth_first_order(&self, groups: &[Vec<usize>]) -> Result<Vec<Group>> {
        let mut members = Vec::new();
        let mut grouped = BTreeSet::new();
        for (index, group) in groups.iter().enumerate() {
            if group.is_empty() {
                return Err(Error::Empty {
                    what: "group of nodes",
                    part: "node",
                });
            }
            grouped.extend(self.root_paths(group)?);
            members.push(Group {
                index: Some(index),
                nodes: group.clone(),
            });
        }
        let alone = self
            .leaves()
            .into_iter()
            .filter(|leaf| !grouped.contains(leaf));
        members.extend(alone.map(|leaf| Group {
            index: None,
            nodes: vec![leaf],
        }));

        let place = self.depth_first_places();
        members.sort_by_cached_key(|group| {
            let mut places: Vec<usize> = group.nodes.iter().map(|&node| place[node]).collect();
            places.sort_unstable();
            places
        });
        Ok(members)
    }

    /// The place of each node in depth-first order.
    fn depth_first_places(&self) -> Vec<usize> {
        let children = self.children();
        let mut place = vec![0; self.nodes.len()];
        let mut next = 0;
        let mut stack = vec![0];
        while let Some(node) = stack.pop() {
            place[node] = next;
            next += 1;
            stack.extend(children[node].iter().rev());
        }
        place
    }

    /// The nodes on the root paths of `nodes`.
    fn root_paths(&self, nodes: &[usize]) -> Result<BTreeSet<usize>> {
        if nodes.is_empty() {
            return Err(Error::Empty {
                what: "list of nodes to keep",
                part: "node",
            });
        }
        let mut kept = BTreeSet::new();
        for &node in nodes {
            if node >= self.nodes.len() {
                return Err(Error::NoSuchNode {
                    node,
                    nodes: self.nodes.len(),
                });
            }
            let mut at = Some(node);
            // Above a node that is already kept everything is kept.
            while let Some(node) = at.filter(|&node| kept.insert(node)) {
                at = self.parent(node);
            }
        }
        Ok(kept)
    }

    fn tokens_in<'a>(&self, nodes: impl IntoIterator<Item = &'a usize>) -> usize {
        nodes
            .into_iter()
            .map(|&node| self.nodes[node].tokens.len())
            .sum()
    }

    /// The tree of `nodes`, which are ascending and closed under parents.
    fn part(&self, nodes: Vec<usize>, stays_trainable: impl Fn(usize) -> bool) -> Subtree {
        let mut tree = TokenTree::default();
        for &node in &nodes {
            let mut entry = self.nodes[node].clone();
            entry.parent = entry
                .parent
                .and_then(|parent| nodes.binary_search(&parent).ok());
            entry.trainable = entry.trainable && stays_trainable(node);
            tree.nodes.push(entry);
        }
        Subtree { tree, nodes }
    }
}

/// Nodes that must stay together; `index` is `None` for a leaf that no caller's group holds.
struct Group {
    index: Option<usize>,
    nodes: Vec<usize>,
}

/// A piece that is still being filled.
#[derive(Default)]
struct Draft {
    nodes: BTreeSet<usize>,
    tokens: usize,
    groups: Vec<usize>,
    /// Nodes that are here for their own sake, not as history of others.
    members: BTreeSet<usize>,
}

impl Draft {
    fn add(&mut self, group: Group, closure: BTreeSet<usize>, added: usize) {
        self.nodes.extend(closure);
        self.tokens += added;
        self.groups.extend(group.index);
        self.members.extend(group.nodes);
    }
}
