//! The rows of `eurus score` for trees.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use ultrainteract::formats::parse_json;
use ultrainteract::input::{self, Located};
use ultrainteract::{ActionSource, Error as RowError, Verdict};

use super::{JudgedTree, JudgedTurn};
use crate::error::{Error, Result};

/// A number of a turn that can be its reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardField {
    /// Beta times the log-ratio of a policy to its reference.
    ImplicitReward,
    /// What a reward model gives the history that ends with the turn.
    Reward,
    /// The log-prob of the turn under a policy: what it finds likely, right or wrong.
    LogProb,
}

impl RewardField {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ImplicitReward, Self::Reward, Self::LogProb];

    /// Its name in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImplicitReward => "implicit_reward",
            Self::Reward => "reward",
            Self::LogProb => "log_prob",
        }
    }
}

impl fmt::Display for RewardField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Trees with numbers and verdicts of their turns, as `eurus score --data TREES` writes them, or as anybody does:
///
/// ```json
/// {"id": "t1", "nodes": [{"name": "1", "parent": null, "verdict": "incorrect", "tokens": 40, "implicit_reward": -0.2},
///                        {"name": "3", "parent": "1", "verdict": "correct", "tokens": 31, "implicit_reward": 0.4}]}
/// ```
///
/// `parent` names the turn before, and is null or missing for a first one; `source` says how it came about. A turn with `not_scored` is left out.
#[derive(Debug)]
pub struct ProcessScores {
    rows: Vec<Located<TreeRow>>,
    not_scored: usize,
}

#[derive(Debug, Deserialize)]
struct TreeRow {
    id: String,
    nodes: Option<Vec<NodeRow>>,
}

#[derive(Debug, Deserialize)]
struct NodeRow {
    name: String,
    parent: Option<String>,
    verdict: Option<Verdict>,
    source: Option<ActionSource>,
    tokens: Option<usize>,
    not_scored: Option<String>,
    implicit_reward: Option<f64>,
    reward: Option<f64>,
    log_prob: Option<f64>,
}

impl NodeRow {
    fn value(&self, field: RewardField) -> Option<f64> {
        match field {
            RewardField::ImplicitReward => self.implicit_reward,
            RewardField::Reward => self.reward,
            RewardField::LogProb => self.log_prob,
        }
    }
}

impl ProcessScores {
    /// Reads the rows of a file, compressed or not.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] with file, row and field for a file that cannot be read and for a row that is no scored tree, that has
    /// come before, or of which a turn has no verdict; [`Error::NoValues`] without rows.
    pub fn read(path: &Path) -> Result<Self> {
        let mut rows: Vec<Located<TreeRow>> = Vec::new();
        let mut ids: HashMap<String, String> = HashMap::new();
        let mut not_scored = 0;
        for row in input::read(vec![path.to_owned()], read_row) {
            let mut row = row.map_err(|rejected| RowError::from(*rejected))?;
            let place = row.location.place.to_string();
            if let Some(before) = ids.insert(row.value.id.clone(), place) {
                let problem = format!("`{}` stands in {before} already; keep one", row.value.id);
                return Err(row
                    .location
                    .locate(RowError::malformed("id", problem))
                    .into());
            }
            if let Some(nodes) = &mut row.value.nodes {
                let all = nodes.len();
                nodes.retain(|node| node.not_scored.is_none());
                not_scored += all - nodes.len();
            }
            // Of a tree that is too long altogether nothing is left to judge.
            if row.value.nodes.as_ref().is_some_and(|it| !it.is_empty()) {
                rows.push(row);
            }
        }
        match rows.is_empty() {
            true => Err(Error::NoValues {
                what: "process rewards",
            }),
            false => Ok(Self { rows, not_scored }),
        }
    }

    /// The same without turns that no model wrote on its own: annotated solutions, and those that were elicited with one. What
    /// has no `source` stays, and a tree of which nothing is left goes.
    #[must_use]
    pub fn sampled_only(mut self) -> Self {
        let is_sampled = |node: &NodeRow| node.source.is_none_or(|it| it == ActionSource::Sampled);
        for nodes in self
            .rows
            .iter_mut()
            .filter_map(|row| row.value.nodes.as_mut())
        {
            nodes.retain(is_sampled);
        }
        self.rows
            .retain(|row| row.value.nodes.as_ref().is_some_and(|it| !it.is_empty()));
        self
    }

    /// The numbers that any turn has.
    pub fn fields(&self) -> Vec<RewardField> {
        let nodes = || {
            self.rows
                .iter()
                .flat_map(|row| row.value.nodes.iter().flatten())
        };
        let has = |field: &RewardField| nodes().any(|node| node.value(*field).is_some());
        RewardField::ALL.into_iter().filter(has).collect()
    }

    /// Turns that were too long to score, and are left out.
    pub fn not_scored(&self) -> usize {
        self.not_scored
    }

    /// The trees with one of the numbers as the reward of a turn.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] with file, row and field for a turn without the number, or that follows one that is not there.
    pub fn trees(&self, field: RewardField) -> Result<Vec<JudgedTree>> {
        let tree = |row: &Located<TreeRow>| {
            let turns = turns(&row.value, field);
            let turns = turns.map_err(|fault| row.location.locate(fault))?;
            Ok(JudgedTree {
                id: row.value.id.clone(),
                turns,
            })
        };
        self.rows.iter().map(tree).collect()
    }
}

/// A row whose turns all have verdicts, or say that nobody judged them.
fn read_row(record: &[u8]) -> ultrainteract::Result<TreeRow> {
    let row: TreeRow = parse_json(record)?;
    let Some(nodes) = &row.nodes else {
        let problem = "is missing: this is no scored tree; score trees, with `eurus score --data`";
        return Err(RowError::malformed("nodes", problem));
    };
    match nodes.iter().position(|node| node.verdict.is_none()) {
        None => Ok(row),
        Some(index) => Err(RowError::malformed(
            format!("nodes[{index}].verdict"),
            format!(
                "is missing: the tree `{}` has no verdicts; score its tree again with this version of `eurus score`, or say \
                 `correct`, `incorrect` or `unjudged`",
                row.id
            ),
        )),
    }
}

fn turns(row: &TreeRow, field: RewardField) -> ultrainteract::Result<Vec<JudgedTurn>> {
    let nodes = row.nodes.as_deref().unwrap_or_default();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut turns = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let at = |field: &str| format!("nodes[{index}].{field}");
        let parent = node.parent.as_deref();
        let parent = parent.map(|name| {
            places.get(name).copied().ok_or_else(|| {
                let problem = format!("`{name}` is no scored turn before this one; put turns after those that they follow");
                RowError::malformed(at("parent"), problem)
            })
        });
        // Null is how writers of JSON put NaN and infinity.
        let Some(reward) = node.value(field) else {
            let problem = format!(
                "of turn `{}` is missing or no finite number; score the tree again, or leave the turn out with `not_scored`",
                node.name
            );
            return Err(RowError::malformed(at(field.as_str()), problem));
        };
        turns.push(JudgedTurn {
            name: node.name.clone(),
            parent: parent.transpose()?,
            reward,
            correct: match node.verdict {
                Some(Verdict::Correct) => Some(true),
                Some(Verdict::Incorrect) => Some(false),
                Some(Verdict::Unjudged) | None => None,
            },
            tokens: node.tokens,
        });
        if places.insert(&node.name, index).is_some() {
            let problem = format!("`{}` comes twice; turns are told apart by name", node.name);
            return Err(RowError::malformed(at("name"), problem));
        }
    }
    Ok(turns)
}
