//! Rows that begin with the same messages grow into one tree.

use std::collections::HashMap;

use ultrainteract::Message;
use ultrainteract::input::Location;

use super::example::{Fields, Row};
use crate::message_tree::beginning;
use crate::{Group, MessageTree};

/// The most groups that grow into one tree. A question that opens thousands of rows shall not make one step of them all.
const MOST_GROUPS: usize = 256;

/// Trees by the messages that they begin with, in the order of their first rows.
#[derive(Default)]
pub(super) struct GrowingForest {
    pub trees: Vec<GrowingTree>,
    /// The newest tree of each beginning.
    by_root: HashMap<Vec<Message>, usize>,
}

/// A tree, and where each of its groups comes from.
pub(super) struct GrowingTree {
    pub messages: MessageTree,
    pub sources: Vec<(Location, Fields)>,
}

impl GrowingTree {
    /// The tree of all groups but one.
    pub fn without(&self, group: usize) -> Self {
        let mut rest = Self {
            messages: MessageTree::new(self.messages.id.as_str()),
            sources: Vec::new(),
        };
        let groups = self.messages.groups.iter().zip(&self.sources).enumerate();
        for (_, (kept, source)) in groups.filter(|(index, _)| *index != group) {
            let grow = |&node| rest.messages.grow(&self.messages.path_messages(node));
            let nodes = kept.nodes.iter().map(grow).collect();
            let kept = Group::new(nodes, kept.label.clone());
            rest.messages.groups.push(kept);
            rest.sources.push(source.clone());
        }
        rest
    }
}

impl GrowingForest {
    /// Adds a row to the tree that begins like it, or to a new one.
    pub fn add(&mut self, id: &str, row: &Row, location: &Location) {
        let root = &row.history[..beginning(&row.history)];
        let known = self.by_root.get(root).copied();
        let grows = |&tree: &usize| self.trees[tree].sources.len() < MOST_GROUPS;
        let place = known.filter(grows).unwrap_or_else(|| {
            self.trees.push(GrowingTree {
                messages: MessageTree::new(id),
                sources: Vec::new(),
            });
            self.by_root.insert(root.to_vec(), self.trees.len() - 1);
            self.trees.len() - 1
        });
        let tree = &mut self.trees[place];
        let mut path = row.history.clone();
        let mut nodes = Vec::with_capacity(row.responses.len());
        for response in &row.responses {
            path.push(response.clone());
            nodes.push(tree.messages.grow(&path));
            path.pop();
        }
        tree.messages
            .groups
            .push(Group::new(nodes, row.label.clone()));
        tree.sources.push((location.clone(), row.fields));
    }
}
