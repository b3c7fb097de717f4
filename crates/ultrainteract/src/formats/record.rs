//! This crate's own file format of trees.

use serde::{Deserialize, Serialize};

use super::jsonl::{Record, parse_object};
use crate::{Content, Error, Node, NodeId, PreferenceTree, Result, Task};

/// What the field `format` of a tree record says.
pub const FORMAT: &str = "ultrainteract-tree";

/// The version of the tree format that this release writes and reads.
pub const VERSION: u32 = 1;

/// A tree as a flat record; one line of a trees file.
///
/// A record may hold anything; turning it into a [`PreferenceTree`] builds the tree node by node
/// and so checks every invariant. `PreferenceTree -> TreeRecord -> PreferenceTree` is the identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeRecord {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Name of the problem.
    pub id: String,
    /// Kind of problem.
    pub task: Task,
    /// Data set that the problem comes from.
    pub dataset: String,
    /// The reference answer, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground_truth: Option<String>,
    /// The most turns that the tree may have.
    pub max_turns: usize,
    /// Every node, parents before children, the instruction first.
    pub nodes: Vec<Node>,
    /// The preferences, in order.
    pub pairs: Vec<PairRecord>,
}

/// A preference of a [`TreeRecord`]; prompt and turn follow from the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairRecord {
    /// The preferred action.
    pub chosen: NodeId,
    /// The other action.
    pub rejected: NodeId,
    /// Id of the row that the pair came from, if it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl From<&PreferenceTree> for TreeRecord {
    fn from(tree: &PreferenceTree) -> Self {
        Self {
            format: FORMAT.to_string(),
            version: VERSION,
            id: tree.id().to_string(),
            task: tree.task(),
            dataset: tree.dataset().to_string(),
            ground_truth: tree.ground_truth().map(str::to_string),
            max_turns: tree.max_turns(),
            nodes: tree.nodes().map(|(_, node)| node.clone()).collect(),
            pairs: tree
                .pairs()
                .iter()
                .enumerate()
                .map(|(index, pair)| PairRecord {
                    chosen: pair.chosen,
                    rejected: pair.rejected,
                    id: tree.pair_id(index).map(str::to_string),
                })
                .collect(),
        }
    }
}

impl TryFrom<TreeRecord> for PreferenceTree {
    type Error = Error;

    fn try_from(record: TreeRecord) -> Result<Self> {
        check_version(&record.format, u64::from(record.version))?;
        let mut nodes = record.nodes.into_iter();
        let instruction = match nodes.next() {
            Some(Node {
                parent: None,
                content: Content::Instruction(text),
            }) => text,
            other => {
                let fault = Error::NoInstruction {
                    found: other.map_or("missing", |node| node.content.kind()),
                };
                return Err(fault.in_field("nodes[0]"));
            }
        };
        let mut tree = PreferenceTree::new(record.id, record.task, record.dataset, instruction)?
            .with_max_turns(record.max_turns)?;
        if let Some(answer) = record.ground_truth {
            tree = tree.with_ground_truth(answer);
        }
        for (index, node) in (1..).zip(nodes) {
            add_node(&mut tree, node).map_err(|fault| fault.in_field(format!("nodes[{index}]")))?;
        }
        for (index, pair) in record.pairs.into_iter().enumerate() {
            match pair.id {
                Some(id) => tree.add_pair_with_id(pair.chosen, pair.rejected, id),
                None => tree.add_pair(pair.chosen, pair.rejected),
            }
            .map_err(|fault| fault.in_field(format!("pairs[{index}]")))?;
        }
        Ok(tree)
    }
}

fn add_node(tree: &mut PreferenceTree, node: Node) -> Result<NodeId> {
    match (node.parent, node.content) {
        (Some(parent), Content::Action(action)) => tree.add_action(parent, action),
        (Some(parent), Content::Observation(observation)) => {
            tree.add_observation(parent, observation)
        }
        (None, _) => Err(Error::Orphan {
            tree: tree.id().to_string(),
        }),
        (Some(_), Content::Instruction(_)) => Err(Error::SecondInstruction),
    }
}

impl Record for TreeRecord {
    fn from_json(line: &[u8]) -> Result<Self> {
        parse_object(line).map_err(|fault| newer_version(line).unwrap_or(fault))
    }
}

impl Record for PreferenceTree {
    fn from_json(line: &[u8]) -> Result<Self> {
        TreeRecord::from_json(line)?.try_into()
    }
}

/// A record that cannot be parsed may be of a later version; then that is the thing to say.
fn newer_version(line: &[u8]) -> Option<Error> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
        version: u64,
    }
    let head: Head = serde_json::from_slice(line).ok()?;
    check_version(&head.format, head.version).err()
}

fn check_version(format: &str, version: u64) -> Result<()> {
    if format != FORMAT {
        return Err(Error::Format {
            field: "format",
            found: format.to_string(),
            expected: FORMAT.to_string(),
        });
    }
    if version != u64::from(VERSION) {
        return Err(Error::Format {
            field: "version",
            found: version.to_string(),
            expected: VERSION.to_string(),
        });
    }
    Ok(())
}
