//! Conversations that share their beginnings, as text: what stands between rows or trees and the tokenizer.

use ultrainteract::{Message, Node, NodeId, PreferenceTree, Role};

use crate::{Error, Group, Result};

/// A conversation with branches, and what is to be learned from it.
///
/// Nodes alternate along a path: a prompt (all messages up to an answer), an assistant message, a prompt, and so on. An
/// assistant that speaks before anything was asked speaks in the first prompt. Rows that begin with the same messages
/// [grow](Self::grow) into one tree, in which each message stands once.
///
/// ```
/// use token_forest::{Group, Label, Message, MessageTree};
///
/// let prompt = [Message::system("Be brief."), Message::user("6 * 7?")];
/// let answer = |text| [prompt.as_slice(), &[Message::assistant(text)]].concat();
/// let mut tree = MessageTree::new("p1");
/// let (chosen, rejected) = (tree.grow(&answer("42")), tree.grow(&answer("41")));
/// tree.groups.push(Group::pair(chosen, rejected));
/// assert_eq!(tree.nodes.len(), 3, "the prompt is one node, and it is there once");
/// assert_eq!(tree.groups[0].label, Label::pair());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessageTree {
    /// Names the tree in messages; may be empty.
    pub id: String,
    /// The nodes, parents before children.
    pub nodes: Vec<MessageNode>,
    /// The groups of responses to be learned; nodes are those of this tree.
    pub groups: Vec<Group>,
}

/// A node of a message tree: its messages and its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageNode {
    /// The node before it; `None` for the first.
    pub parent: Option<usize>,
    /// An assistant message alone, or all messages between two of them.
    pub messages: Vec<Message>,
}

impl MessageTree {
    /// A tree without nodes.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }

    /// A conversation without branches, each answer of which is to be imitated.
    pub fn of_messages(messages: &[Message]) -> Self {
        let mut tree = Self::default();
        tree.grow(messages);
        let answers = (0..tree.nodes.len()).filter(|&node| tree.is_answer(node));
        tree.groups = answers.map(Group::imitated).collect();
        tree
    }

    /// Follows a conversation from the root as far as the tree has it, adds the rest, and returns the node where it ends; 0 for
    /// a conversation without messages.
    pub fn grow(&mut self, messages: &[Message]) -> usize {
        let mut at = None;
        for turn in turns(messages) {
            let known = (0..self.nodes.len()).find(|&node| {
                let node = &self.nodes[node];
                node.parent == at && node.messages == turn
            });
            at = Some(known.unwrap_or_else(|| {
                self.nodes.push(MessageNode {
                    parent: at,
                    messages: turn.to_vec(),
                });
                self.nodes.len() - 1
            }));
        }
        at.unwrap_or_default()
    }

    /// Whether a node is an answer of the assistant.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    pub fn is_answer(&self, node: usize) -> bool {
        let last = self.nodes[node].messages.last();
        last.is_some_and(|message| message.role == Role::Assistant)
    }

    /// The messages from the root through a node.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    pub fn path_messages(&self, node: usize) -> Vec<Message> {
        let path = self.path(node);
        path.iter()
            .flat_map(|&node| self.nodes[node].messages.iter().cloned())
            .collect()
    }

    /// The nodes from the root to a node, both included.
    pub(crate) fn path(&self, node: usize) -> Vec<usize> {
        let mut path: Vec<usize> =
            std::iter::successors(Some(node), |&node| self.nodes[node].parent).collect();
        path.reverse();
        path
    }

    /// The path of the prompt that the nodes of a group answer.
    pub(crate) fn history_of(&self, group: &[usize]) -> Result<Vec<usize>> {
        let parent_of = |&node: &usize| self.nodes.get(node).and_then(|node| node.parent);
        let parent = group.first().and_then(parent_of);
        let siblings = group.iter().all(|node| parent_of(node) == parent);
        match parent.filter(|_| siblings) {
            Some(parent) => Ok(self.path(parent)),
            None => {
                let error = Error::NotSiblings {
                    nodes: group.to_vec(),
                };
                Err(self.place(error, None))
            }
        }
    }

    /// Says in which tree, and at which node, an error happened.
    pub(crate) fn place(&self, error: Error, node: Option<usize>) -> Error {
        match (self.id.as_str(), node) {
            ("", _) => error,
            (id, None) => error.in_tree(id),
            (id, Some(node)) => error.in_tree(format!("{id}, node {node}")),
        }
    }
}

/// The messages of a conversation node by node.
fn turns(messages: &[Message]) -> impl Iterator<Item = &[Message]> {
    let (beginning, rest) = messages.split_at(beginning(messages));
    let rest = rest
        .chunk_by(|message, next| message.role != Role::Assistant && next.role != Role::Assistant);
    let beginning = Some(beginning).filter(|it| !it.is_empty());
    beginning.into_iter().chain(rest)
}

/// Number of messages up to the first answer. What the assistant says before the user has asked is no answer.
pub(crate) fn beginning(messages: &[Message]) -> usize {
    let asked = messages.iter().position(|it| it.role == Role::User);
    let asked = asked.unwrap_or_default();
    let mut later = messages[asked..].iter();
    let answered = later.position(|it| it.role == Role::Assistant);
    answered.map_or(messages.len(), |answered| asked + answered)
}

/// The messages of a preference tree; node `i` is node `i` of the tree, and its pairs are the groups.
impl From<&PreferenceTree> for MessageTree {
    fn from(tree: &PreferenceTree) -> Self {
        let message = |node: &Node| match node.action() {
            Some(_) => Message::assistant(node.text()),
            None => Message::user(node.text()),
        };
        let nodes = tree.nodes().map(|(_, node)| MessageNode {
            parent: node.parent().map(NodeId::index),
            messages: vec![message(node)],
        });
        let pairs = tree.pairs().iter();
        Self {
            id: tree.id().to_string(),
            nodes: nodes.collect(),
            groups: pairs
                .map(|pair| Group::pair(pair.chosen.index(), pair.rejected.index()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_begin_alike_share_what_they_begin_with() {
        let say = |texts: &[&str]| -> Vec<Message> {
            let roles = [Role::User, Role::Assistant];
            let message = |(index, text): (usize, &&str)| Message::new(roles[index % 2], *text);
            texts.iter().enumerate().map(message).collect()
        };
        let mut tree = MessageTree::new("");
        let first = tree.grow(&say(&["q", "a", "no", "b"]));
        let second = tree.grow(&say(&["q", "a", "no", "c"]));
        let third = tree.grow(&say(&["q", "d"]));
        assert_eq!((first, second, third), (3, 4, 5));
        assert_eq!(tree.grow(&say(&["q", "a"])), 1);
        assert_eq!(tree.path_messages(second), say(&["q", "a", "no", "c"]));
        // The same words in another place are another node.
        assert_eq!(tree.grow(&say(&["q", "b"])), 6);
    }
}
