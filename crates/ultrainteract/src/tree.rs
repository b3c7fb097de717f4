//! The preference tree: an arena whose invariants hold from the first node on.

mod read;

use serde::{Deserialize, Serialize, Serializer};

use crate::formats::TreeRecord;
use crate::{Action, Content, Error, Node, NodeId, Observation, Result, Task, Verdict};

/// Two actions to the same history, the first preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// 1-based turn of both actions.
    pub turn: usize,
    /// The instruction or observation that both answer.
    pub prompt: NodeId,
    /// The preferred action.
    pub chosen: NodeId,
    /// The other action.
    pub rejected: NodeId,
}

/// One problem, the actions tried on it, and what came back.
///
/// The invariants hold by construction: node 0 is the instruction; actions follow the instruction
/// or an observation, and siblings differ; an action that is not correct has at most one
/// observation; a correct action ends its trajectory; no action lies deeper than
/// [`max_turns`](Self::max_turns); parents come before children.
///
/// Serialized as a [`TreeRecord`], so a tree that was read has been checked as one that was built.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TreeRecord")]
pub struct PreferenceTree {
    id: String,
    task: Task,
    dataset: String,
    ground_truth: Option<String>,
    max_turns: usize,
    nodes: Vec<Node>,
    links: Vec<Links>,
    pairs: Vec<Pair>,
    pair_ids: Vec<Option<String>>,
}

/// The links of a node, besides its content; derived, never stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Links {
    turn: usize,
    children: Vec<NodeId>,
}

impl PreferenceTree {
    /// Turns that a tree may have unless told otherwise, as in UltraInteract.
    pub const DEFAULT_MAX_TURNS: usize = 5;

    /// A tree with the instruction alone.
    ///
    /// `id` names the problem; the released rows call it `parent_id`.
    ///
    /// # Errors
    ///
    /// The id or the instruction is blank.
    pub fn new(
        id: impl Into<String>,
        task: Task,
        dataset: impl Into<String>,
        instruction: impl Into<String>,
    ) -> Result<Self> {
        let (id, instruction) = (id.into(), instruction.into());
        not_blank("tree id", &id)?;
        not_blank("instruction", &instruction)?;
        Ok(Self {
            id,
            task,
            dataset: dataset.into(),
            ground_truth: None,
            max_turns: Self::DEFAULT_MAX_TURNS,
            nodes: vec![Node {
                parent: None,
                content: Content::Instruction(instruction),
            }],
            links: vec![Links::default()],
            pairs: Vec::new(),
            pair_ids: Vec::new(),
        })
    }

    /// Returns the tree with the reference answer set.
    pub fn with_ground_truth(mut self, answer: impl Into<String>) -> Self {
        self.ground_truth = Some(answer.into());
        self
    }

    /// Returns the tree with another limit of turns.
    ///
    /// # Errors
    ///
    /// The limit is zero or below the turns that the tree has already.
    pub fn with_max_turns(mut self, max_turns: usize) -> Result<Self> {
        let least = self.turns().max(1);
        if max_turns < least {
            return Err(Error::Setting {
                name: "max_turns",
                found: max_turns,
                expected: format!("at least {least}"),
            });
        }
        self.max_turns = max_turns;
        Ok(self)
    }

    /// Adds an answer to the instruction or to an observation.
    ///
    /// # Errors
    ///
    /// The text is blank, the parent is no message to answer, a sibling has the same text, or the
    /// action would lie deeper than [`max_turns`](Self::max_turns).
    pub fn add_action(&mut self, parent: NodeId, action: Action) -> Result<NodeId> {
        not_blank("action", &action.text)?;
        match &self.known(parent)?.content {
            Content::Instruction(_) | Content::Observation(_) => {}
            Content::Action(Action {
                verdict: Verdict::Correct,
                ..
            }) => return Err(self.trajectory_ended(parent)),
            found => return Err(self.wrong_parent(parent, found, "an action")),
        }
        let turn = self.turn(parent) + 1;
        if turn > self.max_turns {
            return Err(Error::TooManyTurns {
                tree: self.id.clone(),
                turn,
                max: self.max_turns,
            });
        }
        if let Some(sibling) = self.find_action(parent, &action.text) {
            return Err(Error::DuplicateSibling {
                tree: self.id.clone(),
                parent,
                sibling,
            });
        }
        Ok(self.push(parent, turn, Content::Action(action)))
    }

    /// Adds what came back after an action.
    ///
    /// # Errors
    ///
    /// The observation says nothing, the parent is no action, is a correct one, or has an
    /// observation already.
    pub fn add_observation(&mut self, parent: NodeId, observation: Observation) -> Result<NodeId> {
        not_blank("observation", &observation.render())?;
        match &self.known(parent)?.content {
            Content::Action(action) if action.verdict == Verdict::Correct => {
                return Err(self.trajectory_ended(parent));
            }
            Content::Action(_) => {}
            found => return Err(self.wrong_parent(parent, found, "an observation")),
        }
        if let Some(&observation) = self.children(parent).first() {
            return Err(Error::AlreadyObserved {
                tree: self.id.clone(),
                node: parent,
                observation,
            });
        }
        let turn = self.turn(parent);
        Ok(self.push(parent, turn, Content::Observation(observation)))
    }

    /// Adds a preference between two actions to the same history.
    ///
    /// # Errors
    ///
    /// The nodes are no actions to the same history, or their verdicts contradict the preference.
    pub fn add_pair(&mut self, chosen: NodeId, rejected: NodeId) -> Result<()> {
        self.insert_pair(chosen, rejected, None)
    }

    /// Adds a preference that keeps the id of the row it comes from.
    ///
    /// # Errors
    ///
    /// As [`add_pair`](Self::add_pair); or the id is blank.
    pub fn add_pair_with_id(
        &mut self,
        chosen: NodeId,
        rejected: NodeId,
        id: impl Into<String>,
    ) -> Result<()> {
        let id = id.into();
        not_blank("pair id", &id)?;
        self.insert_pair(chosen, rejected, Some(id))
    }

    /// Gives an unjudged action its verdict.
    ///
    /// # Errors
    ///
    /// The node is no action, has the other verdict already, or its children or pairs contradict
    /// the new one.
    pub fn judge(&mut self, node: NodeId, verdict: Verdict) -> Result<()> {
        let old = self.known(node)?.action().map(|action| action.verdict);
        let is_chosen = || self.pairs.iter().any(|pair| pair.chosen == node);
        let is_rejected = || self.pairs.iter().any(|pair| pair.rejected == node);
        let why = match (old, verdict) {
            (None, _) => "only actions have one",
            (Some(old), new) if old == new => return Ok(()),
            (Some(Verdict::Correct), _) => "it is correct already",
            (Some(Verdict::Incorrect), _) => "it is incorrect already",
            (_, Verdict::Correct) if !self.children(node).is_empty() => {
                "it has an observation, and a correct action ends its trajectory"
            }
            (_, Verdict::Correct) if is_rejected() => "it is the rejected action of a pair",
            (_, Verdict::Incorrect) if is_chosen() => "it is the chosen action of a pair",
            _ => {
                if let Content::Action(action) = &mut self.nodes[node.0].content {
                    action.verdict = verdict;
                }
                return Ok(());
            }
        };
        Err(Error::Contradiction {
            tree: self.id.clone(),
            node,
            why,
        })
    }

    fn insert_pair(&mut self, chosen: NodeId, rejected: NodeId, id: Option<String>) -> Result<()> {
        let (better, worse) = (self.known(chosen)?, self.known(rejected)?);
        let verdicts = (
            better.action().map(|action| action.verdict),
            worse.action().map(|action| action.verdict),
        );
        let why = match (verdicts, better.parent) {
            ((None, _) | (_, None), _) => "both must be actions",
            _ if chosen == rejected => "they are the same node",
            _ if better.parent != worse.parent => "they answer different histories",
            ((Some(Verdict::Incorrect), _), _) => "the chosen action is incorrect",
            ((_, Some(Verdict::Correct)), _) => "the rejected action is correct",
            (_, Some(prompt)) => {
                self.pairs.push(Pair {
                    turn: self.turn(chosen),
                    prompt,
                    chosen,
                    rejected,
                });
                self.pair_ids.push(id);
                return Ok(());
            }
            (_, None) => "both must be actions",
        };
        Err(Error::NotAPair {
            tree: self.id.clone(),
            chosen,
            rejected,
            why,
        })
    }

    fn push(&mut self, parent: NodeId, turn: usize, content: Content) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            parent: Some(parent),
            content,
        });
        self.links.push(Links {
            turn,
            children: Vec::new(),
        });
        self.links[parent.0].children.push(id);
        id
    }

    fn known(&self, node: NodeId) -> Result<&Node> {
        self.nodes.get(node.0).ok_or_else(|| Error::UnknownNode {
            tree: self.id.clone(),
            node,
            len: self.nodes.len(),
        })
    }

    fn trajectory_ended(&self, node: NodeId) -> Error {
        Error::TrajectoryEnded {
            tree: self.id.clone(),
            node,
        }
    }

    fn wrong_parent(&self, parent: NodeId, found: &Content, child: &'static str) -> Error {
        Error::WrongParent {
            tree: self.id.clone(),
            parent,
            found: found.kind(),
            child,
        }
    }
}

impl Serialize for PreferenceTree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TreeRecord::from(self).serialize(serializer)
    }
}

fn not_blank(what: &'static str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::EmptyText { what });
    }
    Ok(())
}
