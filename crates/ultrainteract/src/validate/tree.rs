//! All faults of a tree: its fields one by one, then its nodes and pairs.

use serde_json::Value;

use super::Limits;
use super::fields::Fields;
use crate::example::Example;
use crate::formats::{FORMAT, PairRecord, TreeRecord, VERSION, parse_object};
use crate::{Content, Error, Node, NodeId, PreferenceTree, Task, Verdict};

const FIELDS: [&str; 9] = [
    "format",
    "version",
    "id",
    "task",
    "dataset",
    "ground_truth",
    "max_turns",
    "nodes",
    "pairs",
];

/// Reads a line of a trees file.
pub(super) fn parse(line: &[u8], limits: &Limits) -> (Option<Example>, Vec<Error>) {
    let first = match parse_object::<TreeRecord>(line) {
        Ok(record) => {
            let mut violations = tree_record(&record, limits);
            if violations.is_empty() {
                match PreferenceTree::try_from(record) {
                    Ok(tree) => return (Some(Example::Tree(Box::new(tree))), violations),
                    // What builds the tree is stricter than what checked it: say so all the same.
                    Err(fault) => violations.push(fault),
                }
            }
            return (None, violations);
        }
        Err(fault) => fault,
    };
    let Ok(Value::Object(object)) = serde_json::from_slice(line) else {
        return (None, vec![first]);
    };
    let mut fields = Fields::new(&object);
    fields.refuse_unknown(&FIELDS);
    let head = Head {
        format: fields.required("format"),
        version: fields.required("version"),
        id: fields.required("id"),
        max_turns: fields.required("max_turns"),
    };
    fields.required::<Task>("task");
    fields.required::<String>("dataset");
    fields.optional::<String>("ground_truth");
    let nodes: Vec<Option<Node>> = fields.list("nodes").unwrap_or_default();
    let pairs: Vec<Option<PairRecord>> = fields.list("pairs").unwrap_or_default();
    let mut found = std::mem::take(&mut fields.found);
    head.check(limits, &mut found);
    let nodes: Vec<Option<&Node>> = nodes.iter().map(Option::as_ref).collect();
    let pairs: Vec<Option<&PairRecord>> = pairs.iter().map(Option::as_ref).collect();
    if object.get("nodes").is_some_and(Value::is_array) {
        Nodes::new(&head, nodes, limits).check(&pairs, &mut found);
    }
    if found.is_empty() {
        found.push(first);
    }
    (None, found)
}

/// Everything that is wrong with a record that could be read.
pub fn tree_record(record: &TreeRecord, limits: &Limits) -> Vec<Error> {
    let mut found = Vec::new();
    let head = Head {
        format: Some(record.format.clone()),
        version: Some(u64::from(record.version)),
        id: Some(record.id.clone()),
        max_turns: Some(record.max_turns),
    };
    head.check(limits, &mut found);
    let nodes = record.nodes.iter().map(Some).collect();
    let pairs: Vec<_> = record.pairs.iter().map(Some).collect();
    Nodes::new(&head, nodes, limits).check(&pairs, &mut found);
    found
}

/// The fields of a tree besides its nodes, as far as they could be read.
struct Head {
    format: Option<String>,
    version: Option<u64>,
    id: Option<String>,
    max_turns: Option<usize>,
}

impl Head {
    fn check(&self, limits: &Limits, found: &mut Vec<Error>) {
        if let Some(format) = self.format.as_ref().filter(|format| *format != FORMAT) {
            found.push(Error::Format {
                field: "format",
                found: format.clone(),
                expected: FORMAT.to_string(),
            });
        }
        let version = self
            .version
            .filter(|&version| version != u64::from(VERSION));
        if let Some(version) = version {
            found.push(Error::Format {
                field: "version",
                found: version.to_string(),
                expected: VERSION.to_string(),
            });
        }
        if self.id.as_ref().is_some_and(|id| id.trim().is_empty()) {
            found.push(Error::EmptyText { what: "tree id" }.in_field("id"));
        }
        let allowed = 1..=limits.max_turns;
        if let Some(found_turns) = self.max_turns.filter(|turns| !allowed.contains(turns)) {
            found.push(Error::Setting {
                name: "max_turns",
                found: found_turns,
                expected: format!("from 1 to {}", limits.max_turns),
            });
        }
    }
}

/// Nodes that may be anything.
struct Nodes<'a> {
    tree: String,
    nodes: Vec<Option<&'a Node>>,
    max_turns: usize,
    children: Vec<Vec<usize>>,
    /// Actions on the way from the root to each node, itself included; none for those whose
    /// parents lead in a circle.
    turns: Vec<Option<usize>>,
}

impl<'a> Nodes<'a> {
    fn new(head: &Head, nodes: Vec<Option<&'a Node>>, limits: &Limits) -> Self {
        let mut children = vec![Vec::new(); nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            if let Some(parent) = node.and_then(|node| node.parent)
                && let Some(siblings) = children.get_mut(parent.0)
            {
                siblings.push(index);
            }
        }
        let own = head.max_turns.unwrap_or(limits.max_turns);
        Self {
            tree: head.id.clone().unwrap_or_default(),
            max_turns: own.min(limits.max_turns),
            children,
            turns: turns(&nodes),
            nodes,
        }
    }

    fn check(&self, pairs: &[Option<&PairRecord>], found: &mut Vec<Error>) {
        if self.nodes.is_empty() {
            found.push(Error::EmptyField {
                field: "nodes".to_string(),
            });
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(node) = node else { continue };
            let mut add = |fault: Error| found.push(fault.in_field(format!("nodes[{index}]")));
            if node.text().trim().is_empty() {
                add(Error::EmptyText {
                    what: match node.content {
                        Content::Instruction(_) => "instruction",
                        Content::Action(_) => "action",
                        Content::Observation(_) => "observation",
                    },
                });
            }
            match (index, &node.content, node.parent) {
                (0, Content::Instruction(_), None) => {}
                (0, _, _) => add(Error::NoInstruction {
                    found: node.content.kind(),
                }),
                (_, Content::Instruction(_), _) => add(Error::SecondInstruction),
                (_, _, None) => add(Error::Orphan {
                    tree: self.tree.clone(),
                }),
                (_, _, Some(parent)) => self.check_parent(index, parent, &mut add),
            }
            self.check_children(index, &mut add);
        }
        for (index, pair) in pairs.iter().enumerate() {
            if let Some(pair) = pair {
                self.check_pair(pair, &mut |fault: Error| {
                    found.push(fault.in_field(format!("pairs[{index}]")));
                });
            }
        }
    }

    fn check_parent(&self, index: usize, parent: NodeId, add: &mut impl FnMut(Error)) {
        let Some(above) = self.nodes.get(parent.0) else {
            return add(Error::UnknownNode {
                tree: self.tree.clone(),
                node: parent,
                len: self.nodes.len(),
            });
        };
        let Some(turn) = self.turns[index] else {
            return add(Error::Cycle {
                tree: self.tree.clone(),
                node: NodeId(index),
            });
        };
        if parent.0 > index {
            add(Error::OutOfOrder {
                tree: self.tree.clone(),
                node: NodeId(index),
                parent,
            });
        }
        let (Some(node), Some(above)) = (self.nodes[index], above) else {
            return;
        };
        match (&node.content, &above.content) {
            (_, Content::Action(action)) if action.verdict == Verdict::Correct => {
                add(Error::TrajectoryEnded {
                    tree: self.tree.clone(),
                    node: parent,
                });
            }
            (Content::Observation(_), Content::Action(_))
            | (Content::Action(_), Content::Instruction(_) | Content::Observation(_)) => {}
            (child, above) => add(Error::WrongParent {
                tree: self.tree.clone(),
                parent,
                found: above.kind(),
                child: child.kind(),
            }),
        }
        if node.action().is_some() && turn > self.max_turns {
            add(Error::TooManyTurns {
                tree: self.tree.clone(),
                turn,
                max: self.max_turns,
            });
        }
    }

    /// Siblings that should differ, observations that should be one.
    fn check_children(&self, index: usize, add: &mut impl FnMut(Error)) {
        // Reported at the later of the two.
        let Some(node) = self.nodes[index] else {
            return;
        };
        let Some(parent) = node.parent else { return };
        let Some(siblings) = self.children.get(parent.0) else {
            return;
        };
        let mut elder = siblings.iter().take_while(|&&sibling| sibling < index);
        match &node.content {
            Content::Action(action) => {
                let same = elder.find(|&&sibling| {
                    let other = self.nodes[sibling].and_then(Node::action);
                    other.is_some_and(|other| other.text == action.text)
                });
                if let Some(&sibling) = same {
                    add(Error::DuplicateSibling {
                        tree: self.tree.clone(),
                        parent,
                        sibling: NodeId(sibling),
                    });
                }
            }
            Content::Observation(_) => {
                if let Some(&first) = elder.next() {
                    add(Error::AlreadyObserved {
                        tree: self.tree.clone(),
                        node: parent,
                        observation: NodeId(first),
                    });
                }
            }
            Content::Instruction(_) => {}
        }
    }

    fn check_pair(&self, pair: &PairRecord, add: &mut impl FnMut(Error)) {
        if pair.id.as_ref().is_some_and(|id| id.trim().is_empty()) {
            add(Error::EmptyText { what: "pair id" });
        }
        let mut known = true;
        for node in [pair.chosen, pair.rejected] {
            match self.nodes.get(node.0) {
                None => {
                    known = false;
                    add(Error::UnknownNode {
                        tree: self.tree.clone(),
                        node,
                        len: self.nodes.len(),
                    });
                }
                Some(node) => known &= node.is_some(),
            }
        }
        if !known {
            return;
        }
        let (Some(better), Some(worse)) = (self.nodes[pair.chosen.0], self.nodes[pair.rejected.0])
        else {
            return;
        };
        let mut no_pair = |why: &'static str| {
            add(Error::NotAPair {
                tree: self.tree.clone(),
                chosen: pair.chosen,
                rejected: pair.rejected,
                why,
            });
        };
        let (Some(chosen), Some(rejected)) = (better.action(), worse.action()) else {
            return no_pair("both must be actions");
        };
        if pair.chosen == pair.rejected {
            no_pair("they are the same node");
        } else if better.parent != worse.parent {
            no_pair("they answer different histories");
        }
        if chosen.verdict == Verdict::Incorrect {
            no_pair("the chosen action is incorrect");
        }
        if rejected.verdict == Verdict::Correct {
            no_pair("the rejected action is correct");
        }
    }
}

/// Turns of all nodes, each looked at once.
fn turns(nodes: &[Option<&Node>]) -> Vec<Option<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnTheWay,
        Done(Option<usize>),
    }
    let mut states = vec![State::New; nodes.len()];
    let mut path = Vec::new();
    for start in 0..nodes.len() {
        let mut at = Some(start);
        while let Some(node) = at.filter(|&node| states[node] == State::New) {
            states[node] = State::OnTheWay;
            path.push(node);
            at = nodes[node]
                .and_then(|node| node.parent)
                .map(|parent| parent.0)
                .filter(|&parent| parent < nodes.len());
        }
        let mut turn = match at.map(|node| states[node]) {
            None => Some(0),
            Some(State::Done(turn)) => turn,
            Some(_) => None, // back on the way: a circle
        };
        while let Some(node) = path.pop() {
            let is_action = nodes[node].is_some_and(|node| node.action().is_some());
            turn = turn.map(|turn| turn + usize::from(is_action));
            states[node] = State::Done(turn);
        }
    }
    states
        .into_iter()
        .map(|state| match state {
            State::Done(turn) => turn,
            State::New | State::OnTheWay => None,
        })
        .collect()
}
