//! The rows of the released data sets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::jsonl::{Record, parse_json};
use crate::{Error, Result, Task};

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The problem and what comes back from the environment.
    User,
    /// The model.
    Assistant,
}

impl Speaker {
    /// The name in the released rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub from: Speaker,
    /// What is said.
    pub value: String,
}

/// One preference, as `UltraInteract_pair` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PairRow {
    /// `<hash>_<depth>_<turn>`, see [`RowId`].
    pub id: String,
    /// The problem; rows of one tree share it.
    pub parent_id: String,
    /// Kind of problem.
    pub task: Task,
    /// Data set that the problem comes from.
    pub dataset: String,
    /// The history that both actions answer, from the instruction to a user message.
    pub trajectory: Vec<Message>,
    /// The preferred action.
    pub chosen: String,
    /// The other action.
    pub rejected: String,
}

impl PairRow {
    /// 1-based turn of the two actions.
    pub fn turn(&self) -> usize {
        self.trajectory.len().div_ceil(2)
    }

    /// Checks what the types do not: no blank text, speakers that alternate from the first user
    /// message to the last, two different actions.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn validate(&self) -> Result<()> {
        not_blank("id", &self.id)?;
        not_blank("parent_id", &self.parent_id)?;
        if self.trajectory.is_empty() {
            return Err(Error::EmptyField {
                field: "trajectory".to_string(),
            });
        }
        for (index, message) in self.trajectory.iter().enumerate() {
            let expected = match index % 2 {
                0 => Speaker::User,
                _ => Speaker::Assistant,
            };
            if message.from != expected {
                return Err(Error::WrongSpeaker {
                    field: format!("trajectory[{index}].from"),
                    expected: expected.as_str(),
                    found: message.from.as_str(),
                });
            }
            if message.value.trim().is_empty() {
                return Err(Error::EmptyField {
                    field: format!("trajectory[{index}].value"),
                });
            }
        }
        if self.trajectory.len().is_multiple_of(2) {
            return Err(Error::TrajectoryEndsWithAssistant {
                messages: self.trajectory.len(),
            });
        }
        not_blank("chosen", &self.chosen)?;
        not_blank("rejected", &self.rejected)?;
        if self.chosen == self.rejected {
            return Err(Error::IdenticalPair);
        }
        Ok(())
    }
}

impl Record for PairRow {
    fn from_json(line: &[u8]) -> Result<Self> {
        let row: Self = parse_json(line)?;
        row.validate()?;
        Ok(row)
    }
}

/// An instruction and a correct answer, as `UltraInteract_sft` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SftRow {
    /// `<hash>_<depth>_<turn>`, see [`RowId`].
    pub id: String,
    /// The problem.
    pub parent_id: String,
    /// Kind of problem.
    pub task: Task,
    /// Data set that the problem comes from.
    pub dataset: String,
    /// The problem's text.
    pub instruction: String,
    /// A correct action.
    pub response: String,
}

impl SftRow {
    /// Checks that no text is blank.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn validate(&self) -> Result<()> {
        not_blank("id", &self.id)?;
        not_blank("parent_id", &self.parent_id)?;
        not_blank("instruction", &self.instruction)?;
        not_blank("response", &self.response)
    }
}

impl Record for SftRow {
    fn from_json(line: &[u8]) -> Result<Self> {
        let row: Self = parse_json(line)?;
        row.validate()?;
        Ok(row)
    }
}

/// The parts of a row's id: `<hash>_<depth>_<turn>`.
///
/// ```
/// use ultrainteract::formats::RowId;
/// let id = RowId::parse("d1f094e0_5_3").unwrap();
/// assert_eq!((id.depth, id.turn), (5, 3));
/// assert_eq!(id.to_string(), "d1f094e0_5_3");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowId {
    /// Identifies the problem, or the problem and one of its trajectories.
    pub hash: String,
    /// Turns of the tree.
    pub depth: usize,
    /// 1-based turn of the row's actions.
    pub turn: usize,
}

impl RowId {
    /// Takes an id apart; `None` if it has another form.
    pub fn parse(id: &str) -> Option<Self> {
        let (rest, turn) = id.rsplit_once('_')?;
        let (hash, depth) = rest.rsplit_once('_')?;
        Some(Self {
            hash: hash.to_string(),
            depth: depth.parse().ok()?,
            turn: turn.parse().ok()?,
        })
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.hash, self.depth, self.turn)
    }
}

fn not_blank(field: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::EmptyField {
            field: field.to_string(),
        });
    }
    Ok(())
}
