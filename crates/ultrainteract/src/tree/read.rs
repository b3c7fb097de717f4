//! Looking at a tree.

use super::{Pair, PreferenceTree};
use crate::{Content, Message, Node, NodeId, Role, Task};

impl PreferenceTree {
    /// Name of the problem; `parent_id` in the released rows.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Kind of problem.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Data set that the problem comes from.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The reference answer, if known.
    pub fn ground_truth(&self) -> Option<&str> {
        self.ground_truth.as_deref()
    }

    /// The most turns that an action may be added at.
    pub fn max_turns(&self) -> usize {
        self.max_turns
    }

    /// The problem.
    pub fn instruction(&self) -> &str {
        match &self.nodes[0].content {
            Content::Instruction(text) => text,
            other => unreachable!("node 0 is {}, not the instruction", other.kind()),
        }
    }

    /// The instruction's node.
    pub fn root(&self) -> NodeId {
        NodeId::ROOT
    }

    /// Number of nodes; at least one.
    #[allow(clippy::len_without_is_empty)] // a tree has an instruction, so it is never empty
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Every node with its id, parents before children.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> + DoubleEndedIterator {
        self.nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (NodeId(index), node))
    }

    /// A node of this tree.
    ///
    /// # Panics
    ///
    /// If the id comes from another tree that has more nodes; [`get`](Self::get) returns `None`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The node with this id, if the tree has one.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0)
    }

    /// The nodes that follow this one, in order of insertion.
    ///
    /// # Panics
    ///
    /// As [`node`](Self::node).
    pub fn children(&self, id: NodeId) -> &[NodeId] {
        &self.links[id.0].children
    }

    /// The action with this text among the children of a node.
    ///
    /// # Panics
    ///
    /// As [`node`](Self::node).
    pub fn find_action(&self, parent: NodeId, text: &str) -> Option<NodeId> {
        self.children(parent).iter().copied().find(|&child| {
            self.nodes[child.0]
                .action()
                .is_some_and(|action| action.text == text)
        })
    }

    /// The nodes from the instruction to this one, both included.
    ///
    /// # Panics
    ///
    /// As [`node`](Self::node).
    pub fn path(&self, id: NodeId) -> Vec<NodeId> {
        let mut path: Vec<NodeId> =
            std::iter::successors(Some(id), |&node| self.node(node).parent).collect();
        path.reverse();
        path
    }

    /// The conversation from the instruction to this node, both included.
    ///
    /// # Panics
    ///
    /// As [`node`](Self::node).
    pub fn messages(&self, id: NodeId) -> Vec<Message> {
        self.path(id)
            .into_iter()
            .map(|node| {
                let content = &self.node(node).content;
                let role = match content {
                    Content::Action(_) => Role::Assistant,
                    Content::Instruction(_) | Content::Observation(_) => Role::User,
                };
                Message::new(role, content.text())
            })
            .collect()
    }

    /// The turn of an action or of the observation after it, from 1; 0 for the instruction.
    ///
    /// # Panics
    ///
    /// As [`node`](Self::node).
    pub fn turn(&self, id: NodeId) -> usize {
        self.links[id.0].turn
    }

    /// The deepest turn; 0 if there is no action.
    pub fn turns(&self) -> usize {
        self.links.iter().map(|links| links.turn).max().unwrap_or(0)
    }

    /// The preferences, in order of insertion.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The id that the pair at this position brought along, if it came from a row.
    pub fn pair_id(&self, index: usize) -> Option<&str> {
        self.pair_ids.get(index)?.as_deref()
    }
}
