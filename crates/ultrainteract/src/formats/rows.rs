//! The rows of the released data sets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::check;
use super::jsonl::{Record, parse_object};
use crate::derive::instruction_hash;
use crate::example::{Completion, Example, Origin, Preference};
use crate::{Error, Message, Result, Task};

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
    #[serde(with = "super::messages::trajectory")]
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
    /// The first field that is wrong; [`violations`](Self::violations) has all of them.
    pub fn validate(&self) -> Result<()> {
        first(self.violations())
    }

    /// Everything that is wrong with the row, each with its field.
    pub fn violations(&self) -> Vec<Error> {
        let mut found = Vec::new();
        check::pair(self, &mut found);
        found
    }

    /// Reads a row of the right form. Rows without `id`, `parent_id` or `dataset` are taken: the
    /// problem is then named by the hash of its instruction, as is the row, with depth and turn,
    /// and the data set is [`UNKNOWN_DATASET`].
    pub(crate) fn parse(record: &[u8]) -> Result<Self> {
        LoosePair::named(parse_object(record)?)
    }
}

/// A pair row that may lack its names and task.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoosePair {
    #[serde(default, deserialize_with = "super::values::name")]
    pub id: Option<String>,
    #[serde(default, deserialize_with = "super::values::name")]
    pub parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    pub dataset: Option<String>,
    #[serde(with = "super::messages::trajectory")]
    pub trajectory: Vec<Message>,
    pub chosen: String,
    pub rejected: String,
}

impl LoosePair {
    /// The row, with names for what it does not name.
    fn named(mut self) -> Result<PairRow> {
        let task = self.task.ok_or_else(|| Error::missing("task"))?;
        let Names {
            id,
            parent_id,
            dataset,
        } = self.take_names();
        Ok(PairRow {
            id,
            parent_id,
            task,
            dataset,
            trajectory: self.trajectory,
            chosen: self.chosen,
            rejected: self.rejected,
        })
    }

    /// The same, also without a task.
    pub fn with_names(mut self) -> Self {
        let names = self.take_names();
        Self {
            id: Some(names.id),
            parent_id: Some(names.parent_id),
            dataset: Some(names.dataset),
            ..self
        }
    }

    fn take_names(&mut self) -> Names {
        let instruction = self.trajectory.first().map_or("", |first| &first.content);
        let turn = self.trajectory.len().div_ceil(2);
        let given = (self.id.take(), self.parent_id.take(), self.dataset.take());
        Names::new(given, instruction, turn)
    }
}

impl Record for PairRow {
    fn from_json(line: &[u8]) -> Result<Self> {
        let row = Self::parse(line)?;
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
    /// The first field that is wrong; [`violations`](Self::violations) has all of them.
    pub fn validate(&self) -> Result<()> {
        first(self.violations())
    }

    /// Everything that is wrong with the row, each with its field.
    pub fn violations(&self) -> Vec<Error> {
        let mut found = Vec::new();
        check::sft(self, &mut found);
        found
    }

    /// Reads a row of the right form, with names for what it does not name, as
    /// [`PairRow::parse`] does.
    pub(crate) fn parse(record: &[u8]) -> Result<Self> {
        LooseSft::named(parse_object(record)?)
    }
}

/// An SFT row that may lack its names and task, and may have a context beside the instruction.
#[derive(Serialize, Deserialize)]
pub(crate) struct LooseSft {
    #[serde(default, deserialize_with = "super::values::name")]
    pub id: Option<String>,
    #[serde(default, deserialize_with = "super::values::name")]
    pub parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    pub dataset: Option<String>,
    #[serde(alias = "system_prompt", skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    pub instruction: String,
    #[serde(alias = "context", skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    pub response: String,
}

impl LooseSft {
    /// The row, with names for what it does not name.
    fn named(mut self) -> Result<SftRow> {
        let task = self.task.ok_or_else(|| Error::missing("task"))?;
        let Names {
            id,
            parent_id,
            dataset,
        } = self.take_names();
        Ok(SftRow {
            id,
            parent_id,
            task,
            dataset,
            instruction: self.instruction,
            response: self.response,
        })
    }

    /// The same, also without a task.
    pub fn with_names(mut self) -> Self {
        let names = self.take_names();
        Self {
            id: Some(names.id),
            parent_id: Some(names.parent_id),
            dataset: Some(names.dataset),
            ..self
        }
    }

    fn take_names(&mut self) -> Names {
        let given = (self.id.take(), self.parent_id.take(), self.dataset.take());
        Names::new(given, &self.instruction, 1)
    }
}

impl Record for SftRow {
    fn from_json(line: &[u8]) -> Result<Self> {
        let row = Self::parse(line)?;
        row.validate()?;
        Ok(row)
    }
}

/// A row of `UltraInteract_pair`; one that does not say its task is a preference.
pub(super) fn read_pair(record: &[u8]) -> Result<Example> {
    let row: LoosePair = parse_object(record)?;
    if row.task.is_some() {
        return row.named().map(Example::Pair);
    }
    Ok(Example::Preference(Preference {
        origin: Origin {
            id: row.id,
            parent_id: row.parent_id,
            task: None,
            dataset: row.dataset,
        },
        prompt: row.trajectory,
        chosen: vec![Message::assistant(row.chosen)],
        rejected: vec![Message::assistant(row.rejected)],
        scores: None,
    }))
}

/// A row of `UltraInteract_sft`; one that does not say its task, or has a system message or an input that goes with the
/// instruction, is a prompt with its answer.
pub(super) fn read_sft(record: &[u8]) -> Result<Example> {
    let mut row: LooseSft = parse_object(record)?;
    let not_empty = |text: &String| !text.is_empty();
    let system = row.system.take().filter(not_empty);
    let input = row.input.take().filter(not_empty);
    if row.task.is_some() && system.is_none() && input.is_none() {
        return row.named().map(Example::Sft);
    }
    let instruction = match input {
        Some(input) => format!("{}\n{input}", row.instruction),
        None => row.instruction,
    };
    let mut prompt: Vec<Message> = system.map(Message::system).into_iter().collect();
    prompt.push(Message::user(instruction));
    Ok(Example::Completion(Completion {
        origin: Origin {
            id: row.id,
            parent_id: row.parent_id,
            task: row.task,
            dataset: row.dataset,
        },
        prompt,
        completion: vec![Message::assistant(row.response)],
    }))
}

/// The data set of a row that does not name one.
pub const UNKNOWN_DATASET: &str = "unknown";

fn first(violations: Vec<Error>) -> Result<()> {
    violations.into_iter().next().map_or(Ok(()), Err)
}

/// The names of a row, its problem and its data set.
struct Names {
    id: String,
    parent_id: String,
    dataset: String,
}

impl Names {
    /// What is not given of id, problem and data set is named by the instruction, and [`UNKNOWN_DATASET`].
    fn new(
        (id, parent_id, dataset): (Option<String>, Option<String>, Option<String>),
        instruction: &str,
        turn: usize,
    ) -> Self {
        let hash = || instruction_hash(instruction);
        Self {
            id: id.unwrap_or_else(|| {
                let (hash, depth) = (hash(), turn);
                RowId { hash, depth, turn }.to_string()
            }),
            parent_id: parent_id.unwrap_or_else(hash),
            dataset: dataset.unwrap_or_else(|| UNKNOWN_DATASET.to_string()),
        }
    }
}

impl From<&PairRow> for LoosePair {
    fn from(row: &PairRow) -> Self {
        let row = row.clone();
        Self {
            id: Some(row.id),
            parent_id: Some(row.parent_id),
            task: Some(row.task),
            dataset: Some(row.dataset),
            trajectory: row.trajectory,
            chosen: row.chosen,
            rejected: row.rejected,
        }
    }
}

impl From<&SftRow> for LooseSft {
    fn from(row: &SftRow) -> Self {
        let row = row.clone();
        Self {
            id: Some(row.id),
            parent_id: Some(row.parent_id),
            task: Some(row.task),
            dataset: Some(row.dataset),
            system: None,
            instruction: row.instruction,
            input: None,
            response: row.response,
        }
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
