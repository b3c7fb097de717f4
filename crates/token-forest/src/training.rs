//! Training examples: a tree of tokens, and the groups of responses in it that a loss looks at.

use std::collections::HashSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use ultrainteract::{PreferenceTree, Verdict};

use crate::{ChatTokenizer, Error, MessageTree, Result, TokenTree};

/// Responses that a loss looks at together, and what is known of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The responses, nodes of a tree. A node may be in several groups.
    pub nodes: Vec<usize>,
    /// The label of the responses.
    pub label: Label,
    /// A response of another tree under the first node's prompt, for KL estimates; [`add_mismatched`] makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatched: Option<usize>,
}

/// The label of a group: imitation, preference, verdict or scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// The one response is to be imitated.
    Imitated,
    /// The first response is better than the second.
    Pair {
        /// By how much the first one's reward should lead, for reward models.
        margin: f32,
        /// The second response is worse but not wrong, as in chat data: reward models rank the two and learn no direct
        /// reward from them.
        rank_only: bool,
    },
    /// The one response was judged.
    Verdict {
        /// Whether it is one to learn, rather than one to unlearn.
        desirable: bool,
    },
    /// How good each response is: higher is better. The scale is the loss's business.
    Scores(Vec<f32>),
}

impl Label {
    /// A pair without a margin that is not only to be ranked.
    pub fn pair() -> Self {
        Self::Pair {
            margin: 0.0,
            rank_only: false,
        }
    }

    /// The kind of label.
    pub fn kind(&self) -> LabelKind {
        match self {
            Self::Imitated => LabelKind::Imitated,
            Self::Pair { .. } => LabelKind::Pair,
            Self::Verdict { .. } => LabelKind::Verdict,
            Self::Scores(_) => LabelKind::Scores,
        }
    }
}

/// The kinds of groups; a loss looks at one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// Responses to imitate.
    Imitated,
    /// Pairs of a better and a worse response.
    Pair,
    /// Responses with a verdict each.
    Verdict,
    /// Several scored responses to a prompt.
    Scores,
}

impl LabelKind {
    /// Nouns for groups of this kind: one, and several.
    pub fn nouns(self) -> [&'static str; 2] {
        match self {
            Self::Imitated | Self::Verdict => ["response", "responses"],
            Self::Pair => ["pair", "pairs"],
            Self::Scores => ["prompt", "prompts"],
        }
    }
}

impl std::fmt::Display for LabelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Imitated => "responses to imitate",
            Self::Pair => "pairs of responses",
            Self::Verdict => "responses with a verdict each",
            Self::Scores => "prompts with scored responses",
        })
    }
}

impl Group {
    /// Responses with a label, and no mismatched one.
    pub fn new(nodes: Vec<usize>, label: Label) -> Self {
        Self {
            nodes,
            label,
            mismatched: None,
        }
    }

    /// A response to imitate.
    pub fn imitated(node: usize) -> Self {
        Self::new(vec![node], Label::Imitated)
    }

    /// A pair of responses.
    pub fn pair(chosen: usize, rejected: usize) -> Self {
        Self::new(vec![chosen, rejected], Label::pair())
    }

    /// A response with a verdict.
    pub fn verdict(node: usize, desirable: bool) -> Self {
        Self::new(vec![node], Label::Verdict { desirable })
    }

    /// Responses with scores.
    pub fn scored(responses: impl IntoIterator<Item = (usize, f32)>) -> Self {
        let (nodes, scores) = responses.into_iter().unzip();
        Self::new(nodes, Label::Scores(scores))
    }

    /// The fault of the group as one of `tree`, if there is one.
    fn problem(&self, tree: &TokenTree) -> Option<String> {
        let wanted = match &self.label {
            Label::Imitated | Label::Verdict { .. } => 1,
            Label::Pair { .. } => 2,
            Label::Scores(scores) => scores.len().max(2),
        };
        if self.nodes.len() != wanted {
            let found = self.nodes.len();
            return Some(format!("it has {found} responses, not {wanted}"));
        }
        let parent = |node: usize| tree.nodes.get(node).and_then(|node| node.parent);
        for (index, &node) in self.nodes.iter().enumerate() {
            if parent(node).is_none() && !self.may_be_root(tree, node) {
                return Some(format!("node {node} is a root or does not exist"));
            }
            if self.nodes[..index].contains(&node) {
                return Some(format!("node {node} is in it twice"));
            }
        }
        match &self.label {
            Label::Pair { margin, .. } if !margin.is_finite() => {
                Some(format!("the margin is {margin}"))
            }
            Label::Scores(scores) => {
                let mut rows = self.nodes.iter().zip(scores);
                if let Some((node, score)) = rows.find(|(_, score)| !score.is_finite()) {
                    return Some(format!("the score of node {node} is {score}"));
                }
                let stranger = self
                    .nodes
                    .iter()
                    .find(|&&node| parent(node) != parent(self.nodes[0]));
                stranger.map(|node| format!("node {node} answers another prompt"))
            }
            _ => None,
        }
    }

    /// A text without a prompt can be imitated from its second token on.
    fn may_be_root(&self, tree: &TokenTree, node: usize) -> bool {
        let text = tree.nodes.get(node);
        self.label == Label::Imitated && text.is_some_and(|text| text.tokens.len() > 1)
    }
}

/// A tree with groups of responses to learn from: the one kind of example that there is. Imitation has groups of one
/// response, preference losses have pairs, single responses with a verdict or K responses with scores.
///
/// ```
/// use token_forest::{Group, TokenTree, TrainingTree};
///
/// # fn main() -> token_forest::Result<()> {
/// let mut tree = TokenTree::new(vec![1, 2, 3], false);
/// let (right, wrong) = (tree.push(0, vec![4, 5], true), tree.push(0, vec![6], true));
/// tree.push(0, vec![7, 8, 9], true);
/// let example = TrainingTree::new("p1", &tree, vec![Group::pair(right, wrong)])?;
/// assert_eq!(example.tree().unique_tokens(), 6, "what no group needs is left out");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingTree {
    id: String,
    tree: TokenTree,
    groups: Vec<Group>,
    /// The policy's turns, ascending: the nodes of groups, and earlier ones on the way to them.
    turns: Vec<usize>,
}

impl TrainingTree {
    /// A tree from its tokens and groups. Nodes that no group needs are left out; exactly the nodes of groups are trainable.
    /// Other nodes that were trainable are remembered as [turns](Self::turns_to) of the policy.
    ///
    /// # Errors
    ///
    /// When the tree is malformed, there is no group, the groups are of several kinds, or one has the wrong number of
    /// responses, names a root, a node twice or one that does not exist, has a margin or score that is not finite, or scored
    /// responses to several prompts.
    pub fn new(id: impl Into<String>, tree: &TokenTree, groups: Vec<Group>) -> Result<Self> {
        let id = id.into();
        let Some(first) = groups.first() else {
            return Err(Error::NothingToLearn { id });
        };
        for (index, group) in groups.iter().enumerate() {
            let problem = if group.label.kind() != first.label.kind() {
                Some("it is of another kind than the first one".to_string())
            } else {
                group.problem(tree)
            };
            if let Some(problem) = problem {
                return Err(Error::BadGroup {
                    id,
                    group: index,
                    problem,
                });
            }
        }
        let used: HashSet<usize> = groups.iter().flat_map(|it| it.nodes.clone()).collect();
        let mut keep: Vec<usize> = used.iter().copied().collect();
        keep.sort_unstable();
        let mut part = tree.subtree(&keep)?;
        let mut tree = std::mem::take(&mut part.tree);
        let mut turns = Vec::new();
        for (index, (node, old)) in tree.nodes.iter_mut().zip(&part.nodes).enumerate() {
            let is_used = used.contains(old);
            if is_used || node.trainable {
                turns.push(index);
            }
            node.trainable = is_used;
        }
        let placed = |group: Group| Group {
            nodes: group
                .nodes
                .iter()
                .filter_map(|&node| part.index_of(node))
                .collect(),
            mismatched: None,
            ..group
        };
        Ok(Self {
            id,
            groups: groups.into_iter().map(placed).collect(),
            tree,
            turns,
        })
    }

    /// The trainable nodes of a tree, each to be imitated.
    ///
    /// # Errors
    ///
    /// When the tree is malformed or nothing in it can be trained on.
    pub fn imitated(id: impl Into<String>, tree: &TokenTree) -> Result<Self> {
        tree.validate()?;
        let trainable =
            tree.nodes.iter().enumerate().filter(|(_, node)| {
                node.trainable && (node.parent.is_some() || node.tokens.len() > 1)
            });
        let groups = trainable.map(|(node, _)| Group::imitated(node)).collect();
        Self::new(id, tree, groups)
    }

    /// The pairs of a preference tree; each history is there once.
    ///
    /// # Errors
    ///
    /// When the tree has no pair or the chat template does not fit.
    pub fn pairs_of(tree: &PreferenceTree, tokenizer: &ChatTokenizer) -> Result<Self> {
        Self::of_messages(&MessageTree::from(tree), tokenizer)
    }

    /// The judged actions of a preference tree: correct ones are desirable, incorrect ones are not, and what was not judged is
    /// history. Whether an action is in a pair does not matter.
    ///
    /// # Errors
    ///
    /// When no action was judged or the chat template does not fit.
    pub fn verdicts_of(tree: &PreferenceTree, tokenizer: &ChatTokenizer) -> Result<Self> {
        let judged = tree
            .nodes()
            .filter_map(|(id, node)| match node.action()?.verdict {
                Verdict::Unjudged => None,
                verdict => Some(Group::verdict(id.index(), verdict == Verdict::Correct)),
            });
        let messages = MessageTree {
            groups: judged.collect(),
            ..MessageTree::from(tree)
        };
        Self::of_messages(&messages, tokenizer)
    }

    /// The tokens of a tree of messages, whole.
    ///
    /// # Errors
    ///
    /// When it has no group or the chat template does not fit.
    pub fn of_messages(messages: &MessageTree, tokenizer: &ChatTokenizer) -> Result<Self> {
        let tokens = tokenizer.encode(messages)?;
        Self::new(&messages.id, &tokens, messages.groups.clone())
    }

    /// Names the example in messages.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tokens. Exactly the nodes of groups, and the mismatched ones, are trainable.
    pub fn tree(&self) -> &TokenTree {
        &self.tree
    }

    /// The groups, all of one kind.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The policy's turns of a trajectory: those on the path from the root through a node, which losses over trajectories look
    /// at and all others take as history.
    ///
    /// ```
    /// use token_forest::{Group, TokenTree, TrainingTree};
    ///
    /// # fn main() -> token_forest::Result<()> {
    /// let mut tree = TokenTree::new(vec![1, 2], false);
    /// let wrong = tree.push(0, vec![3], true);
    /// let feedback = tree.push(wrong, vec![4], false);
    /// let right = tree.push(feedback, vec![5], true);
    /// let example = TrainingTree::new("p1", &tree, vec![Group::verdict(right, true)])?;
    /// assert_eq!(example.turns_to(right), [wrong, right]);
    /// assert!(!example.tree().nodes[wrong].trainable, "it is history");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the tree has no such node.
    pub fn turns_to(&self, node: usize) -> Vec<usize> {
        let mut path = self.tree.path(node);
        path.retain(|node| self.turns.binary_search(node).is_ok());
        path
    }

    /// The kind of its groups.
    pub fn kind(&self) -> LabelKind {
        self.groups[0].label.kind()
    }

    /// Returns the tree with other labels: pairs with margins, say. Mismatched responses are dropped.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_labels(mut self, label: impl Fn(usize, &Group) -> Label) -> Result<Self> {
        for index in 0..self.groups.len() {
            self.groups[index].label = label(index, &self.groups[index]);
        }
        // `new` takes the turns from what is trainable.
        for &turn in &self.turns {
            self.tree.nodes[turn].trainable = true;
        }
        Self::new(self.id, &self.tree, self.groups)
    }

    /// Tokens that groups need, each node once: all but the mismatched responses.
    pub fn trained_tokens(&self) -> usize {
        let mismatched = self.groups.iter().filter_map(|group| group.mismatched);
        let tokens: usize = mismatched
            .map(|leaf| self.tree.nodes[leaf].tokens.len())
            .sum();
        self.tree.unique_tokens() - tokens
    }

    /// Tokens of every group as rows of their own, one a response.
    pub fn naive_tokens(&self) -> usize {
        let lengths = self.tree.path_lengths();
        let nodes = self.groups.iter().flat_map(|group| &group.nodes);
        nodes.map(|&node| lengths[node]).sum()
    }
}

/// Gives every group one mismatched response, for KL estimates: the first response of a group of another tree, as one more
/// leaf under the prompt of the group's own first response. Siblings share a prompt, so it must come from another tree, not
/// merely from another row.
///
/// The choice depends on the seed alone and not on the order of training, so reference log-probs of these leaves are
/// computed once like all others and the trees can be shuffled.
///
/// # Errors
///
/// [`Error::OneTreeForKl`] when there is no other tree.
pub fn add_mismatched(trees: &mut [TrainingTree], seed: u64) -> Result<()> {
    if trees.len() < 2 {
        return Err(Error::OneTreeForKl);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let first_responses = |tree: &TrainingTree| -> Vec<Vec<u32>> {
        let tokens = |group: &Group| tree.tree.nodes[group.nodes[0]].tokens.clone();
        tree.groups.iter().map(tokens).collect()
    };
    // Copies, since trees grow while responses of others are read.
    let completions: Vec<Vec<Vec<u32>>> = trees.iter().map(first_responses).collect();
    let count = trees.len();
    for (index, example) in trees.iter_mut().enumerate() {
        for group in &mut example.groups {
            let other = (index + 1 + rng.random_range(0..count - 1)) % count;
            let place = rng.random_range(0..completions[other].len());
            if let Some(prompt) = example.tree.nodes[group.nodes[0]].parent {
                let tokens = completions[other][place].clone();
                group.mismatched = Some(example.tree.push(prompt, tokens, true));
            }
        }
    }
    Ok(())
}
