//! Training trees as pieces that fit in a forest, and forests of them whose nodes are known by tree and group.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::packing::pack_sizes;
use crate::{PackedForest, Result, Subtree, TokenTree, TrainingTree};

/// Training trees cut to a token budget, once for all steps of a run.
///
/// ```
/// use token_forest::{Group, Pieces, Span, TokenTree, TrainingTree};
///
/// # fn main() -> token_forest::Result<()> {
/// let mut tree = TokenTree::new(vec![1, 2, 3], false);
/// let (chosen, rejected) = (tree.push(0, vec![4, 5], true), tree.push(0, vec![6], true));
/// let trees = [TrainingTree::new("p1", &tree, vec![Group::pair(chosen, rejected)])?];
/// let pieces = Pieces::of_groups(&trees, Span::Responses, 8)?;
/// let forests = pieces.pack(&[0])?;
/// assert_eq!(forests[0].forest.tokens, [1, 2, 3, 4, 5, 6]);
/// assert_eq!(forests[0].groups[0].nodes, [1, 2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    /// Those of each tree.
    of_tree: Vec<Vec<Piece<'a>>>,
    token_budget: usize,
}

/// A part of a tree that fits in the budget, with its groups as nodes of the part.
#[derive(Debug, Clone)]
struct Piece<'a> {
    tree: Cow<'a, TokenTree>,
    /// By their index in the whole tree.
    groups: Vec<(usize, Scored)>,
    /// Tokens of the whole tree's longest path.
    longest_path: u32,
}

/// The nodes of a group that a loss looks at.
#[derive(Debug, Clone)]
struct Scored {
    /// The responses.
    nodes: Vec<usize>,
    /// The turns through each response; empty with [`Span::Responses`].
    turns: Vec<Vec<usize>>,
}

impl Scored {
    /// Responses without turns.
    fn responses(nodes: Vec<usize>) -> Self {
        Self {
            nodes,
            turns: Vec::new(),
        }
    }

    fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes
            .iter()
            .chain(self.turns.iter().flatten())
            .copied()
    }

    /// The group's nodes, as indices of a part of the tree.
    fn within(&self, part: &Subtree) -> Self {
        let place = |nodes: &Vec<usize>| -> Vec<usize> {
            nodes
                .iter()
                .filter_map(|&node| part.index_of(node))
                .collect()
        };
        Self {
            nodes: place(&self.nodes),
            turns: self.turns.iter().map(place).collect(),
        }
    }
}

/// Which nodes of a response's path a loss looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Span {
    /// The response alone; what comes before it is history.
    #[default]
    Responses,
    /// All [turns](TrainingTree::turns_to) of the policy through the response.
    Trajectories,
}

/// Nodes of one tree that a loss looks at together, in a forest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedGroup {
    /// The tree, by its place in the list that was packed.
    pub tree: usize,
    /// The group's index in its tree. Of [`Pieces::of_reference`] those after a tree's groups are their mismatched responses.
    pub index: usize,
    /// Forest nodes, in the group's order.
    pub nodes: Vec<u32>,
    /// The turns through each of these, with [`Span::Trajectories`]; else empty.
    pub turns: Vec<Vec<u32>>,
}

/// A forest with the groups whose nodes it holds; exactly their nodes have targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupForest {
    /// The forest.
    pub forest: PackedForest,
    /// The groups.
    pub groups: Vec<PackedGroup>,
}

impl GroupForest {
    /// The node at `place` of every group, in order.
    ///
    /// # Panics
    ///
    /// When a group has no such place.
    pub fn column(&self, place: usize) -> impl Iterator<Item = u32> + '_ {
        self.groups.iter().map(move |group| group.nodes[place])
    }

    /// The groups, those of one size together, small ones first.
    pub fn groups_by_size(&self) -> Vec<Vec<PackedGroup>> {
        let mut groups = self.groups.clone();
        groups.sort_by_key(|group| group.nodes.len()); // stable: the order of the forest within a size
        let same = |a: &PackedGroup, b: &PackedGroup| a.nodes.len() == b.nodes.len();
        groups.chunk_by(same).map(<[_]>::to_vec).collect()
    }
}

impl<'a> Pieces<'a> {
    /// The trees' groups, without mismatched responses.
    ///
    /// # Errors
    ///
    /// When a group does not fit in the budget.
    pub fn of_groups(trees: &'a [TrainingTree], span: Span, token_budget: usize) -> Result<Self> {
        Self::new(trees, token_budget, |tree| spanned(tree, span).collect())
    }

    /// The trees' mismatched responses under their prompts, one node a group, nothing else.
    ///
    /// # Errors
    ///
    /// When one does not fit in the budget with its prompt.
    pub fn of_mismatched(trees: &'a [TrainingTree], token_budget: usize) -> Result<Self> {
        Self::new(trees, token_budget, mismatched)
    }

    /// All that a reference model is asked for: the trees' groups and, after these, their mismatched responses.
    ///
    /// # Errors
    ///
    /// When a group, or a mismatched response with its prompt, does not fit in the budget.
    pub fn of_reference(
        trees: &'a [TrainingTree],
        span: Span,
        token_budget: usize,
    ) -> Result<Self> {
        Self::new(trees, token_budget, |tree| {
            spanned(tree, span).chain(mismatched(tree)).collect()
        })
    }

    fn new(
        trees: &'a [TrainingTree],
        token_budget: usize,
        groups_of: impl Fn(&TrainingTree) -> Vec<Scored>,
    ) -> Result<Self> {
        let of_tree = trees.iter().map(|tree| {
            let groups = groups_of(tree);
            match groups.is_empty() {
                true => Ok(Vec::new()),
                false => cut(tree.tree(), groups, token_budget),
            }
        });
        Ok(Self {
            of_tree: of_tree.collect::<Result<_>>()?,
            token_budget,
        })
    }

    /// Tokens of each tree's pieces: one, unless its groups do not fit in a forest together.
    pub fn sizes(&self) -> Vec<Vec<usize>> {
        let size = |piece: &Piece<'_>| piece.tree.unique_tokens();
        self.of_tree
            .iter()
            .map(|pieces| pieces.iter().map(size).collect())
            .collect()
    }

    /// Forests of some of the trees, by index. A [`PackedGroup::tree`] is a place in `members`.
    ///
    /// # Errors
    ///
    /// More tokens than a forest can index.
    ///
    /// # Panics
    ///
    /// When there is no tree of such an index.
    pub fn pack(&self, members: &[usize]) -> Result<Vec<GroupForest>> {
        let pieces: Vec<(usize, &Piece<'_>)> = members
            .iter()
            .enumerate()
            .flat_map(|(place, &member)| self.of_tree[member].iter().map(move |it| (place, it)))
            .collect();
        let sizes: Vec<usize> = pieces
            .iter()
            .map(|(_, piece)| piece.tree.unique_tokens())
            .collect();
        pack_sizes(&sizes, self.token_budget)
            .into_iter()
            .map(|chosen| forest_of(&chosen.iter().map(|&it| pieces[it]).collect::<Vec<_>>()))
            .collect()
    }
}

/// The nodes of each group that a loss looks at.
fn spanned(tree: &TrainingTree, span: Span) -> impl Iterator<Item = Scored> + '_ {
    tree.groups().iter().map(move |group| Scored {
        turns: match span {
            Span::Responses => Vec::new(),
            Span::Trajectories => {
                let turns = group.nodes.iter().map(|&node| tree.turns_to(node));
                turns.collect()
            }
        },
        nodes: group.nodes.clone(),
    })
}

fn mismatched(tree: &TrainingTree) -> Vec<Scored> {
    let leaves = tree.groups().iter().filter_map(|group| group.mismatched);
    leaves.map(|leaf| Scored::responses(vec![leaf])).collect()
}

fn forest_of(pieces: &[(usize, &Piece<'_>)]) -> Result<GroupForest> {
    let mut forest = PackedForest::from_trees(pieces.iter().map(|(_, piece)| &*piece.tree))?;
    forest.longest_paths = pieces.iter().map(|it| it.1.longest_path).collect();
    let mut groups = Vec::new();
    for (place, (tree, piece)) in pieces.iter().enumerate() {
        let placed = |nodes: &Vec<usize>| -> Vec<u32> {
            let nodes = nodes.iter();
            nodes
                .map(|&node| forest.node_index(place, node) as u32)
                .collect()
        };
        groups.extend(piece.groups.iter().map(|(index, scored)| PackedGroup {
            tree: *tree,
            index: *index,
            nodes: placed(&scored.nodes),
            turns: scored.turns.iter().map(placed).collect(),
        }));
    }
    Ok(GroupForest { forest, groups })
}

/// The root paths of a tree's groups, in as many pieces as the budget asks for.
fn cut(tree: &TokenTree, groups: Vec<Scored>, token_budget: usize) -> Result<Vec<Piece<'_>>> {
    let nodes: HashSet<usize> = groups.iter().flat_map(Scored::all).collect();
    // A tree of more tokens than a forest can index is refused when it is packed.
    let longest_path = u32::try_from(tree.longest_path_tokens()).unwrap_or(u32::MAX);
    let is_whole = tree.unique_tokens() <= token_budget
        && tree
            .nodes
            .iter()
            .enumerate()
            .all(|(node, it)| it.trainable == nodes.contains(&node));
    // Borrowed where nothing changes, so that the tokens are not held twice.
    if is_whole {
        return Ok(vec![Piece {
            tree: Cow::Borrowed(tree),
            groups: groups.into_iter().enumerate().collect(),
            longest_path,
        }]);
    }
    // Without what no group needs: mismatched responses, say.
    let whole = tree.subtree(&nodes.into_iter().collect::<Vec<_>>())?;
    let groups: Vec<Scored> = groups.iter().map(|group| group.within(&whole)).collect();
    if whole.tree.unique_tokens() <= token_budget {
        let groups = groups.into_iter().enumerate().collect();
        return Ok(vec![Piece::new(whole.tree, groups, longest_path)]);
    }
    // Turns are on the way to responses.
    let responses: Vec<Vec<usize>> = groups.iter().map(|group| group.nodes.clone()).collect();
    let split = whole.tree.split(token_budget, &responses)?;
    let pieces = split.into_iter().map(|part| {
        let placed = |&index: &usize| (index, groups[index].within(&part.subtree));
        let groups = part.groups.iter().map(placed).collect();
        Piece::new(part.subtree.tree, groups, longest_path)
    });
    Ok(pieces.collect())
}

impl Piece<'_> {
    /// A tree whose trainable nodes are those of these groups.
    fn new(mut tree: TokenTree, groups: Vec<(usize, Scored)>, longest_path: u32) -> Self {
        let nodes: HashSet<usize> = groups.iter().flat_map(|it| it.1.all()).collect();
        for (node, token_node) in tree.nodes.iter_mut().enumerate() {
            token_node.trainable = nodes.contains(&node);
        }
        Self {
            tree: Cow::Owned(tree),
            groups,
            longest_path,
        }
    }
}
