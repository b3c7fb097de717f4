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
    #[serde(with = "super::wire::trajectory")]
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
        #[derive(Deserialize)]
        struct Loose {
            #[serde(default, deserialize_with = "super::wire::name")]
            id: Option<String>,
            #[serde(default, deserialize_with = "super::wire::name")]
            parent_id: Option<String>,
            task: Task,
            dataset: Option<String>,
            #[serde(with = "super::wire::trajectory")]
            trajectory: Vec<Message>,
            chosen: String,
            rejected: String,
        }
        let row: Loose = parse_object(record)?;
        let instruction = row.trajectory.first().map_or("", |first| &first.content);
        let turn = row.trajectory.len().div_ceil(2);
        let (id, parent_id) = names(row.id, row.parent_id, instruction, turn);
        Ok(Self {
            id,
            parent_id,
            task: row.task,
            dataset: row.dataset.unwrap_or_else(|| UNKNOWN_DATASET.to_string()),
            trajectory: row.trajectory,
            chosen: row.chosen,
            rejected: row.rejected,
        })
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
        #[derive(Deserialize)]
        struct Loose {
            #[serde(default, deserialize_with = "super::wire::name")]
            id: Option<String>,
            #[serde(default, deserialize_with = "super::wire::name")]
            parent_id: Option<String>,
            task: Task,
            dataset: Option<String>,
            instruction: String,
            response: String,
        }
        let row: Loose = parse_object(record)?;
        let (id, parent_id) = names(row.id, row.parent_id, &row.instruction, 1);
        Ok(Self {
            id,
            parent_id,
            task: row.task,
            dataset: row.dataset.unwrap_or_else(|| UNKNOWN_DATASET.to_string()),
            instruction: row.instruction,
            response: row.response,
        })
    }
}

impl Record for SftRow {
    fn from_json(line: &[u8]) -> Result<Self> {
        let row = Self::parse(line)?;
        row.validate()?;
        Ok(row)
    }
}

/// A row of `UltraInteract_pair`; one that does not say its task is a preference without one.
pub(super) fn read_pair(record: &[u8]) -> Result<Example> {
    let fault = match PairRow::parse(record) {
        Ok(row) => return Ok(Example::Pair(row)),
        Err(fault) => fault,
    };
    #[derive(Deserialize)]
    struct Without {
        #[serde(with = "super::wire::trajectory")]
        trajectory: Vec<Message>,
        chosen: String,
        rejected: String,
    }
    let row: Without = without_task(record, fault)?;
    Ok(Example::Preference(Preference {
        origin: Origin::default(),
        prompt: row.trajectory,
        chosen: vec![Message::assistant(row.chosen)],
        rejected: vec![Message::assistant(row.rejected)],
        scores: None,
    }))
}

/// A row of `UltraInteract_sft`; one that does not say its task is an instruction with its answer, and `input` goes with the
/// instruction.
pub(super) fn read_sft(record: &[u8]) -> Result<Example> {
    #[derive(Deserialize)]
    struct Without {
        instruction: String,
        #[serde(default)]
        input: Option<String>,
        #[serde(default)]
        system: Option<String>,
        response: String,
    }
    let context = |row: &Without| {
        let is_said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        is_said(&row.input) || is_said(&row.system)
    };
    let row: Without = match SftRow::parse(record) {
        Ok(row) => {
            let says = |field| std::str::from_utf8(record).is_ok_and(|it| it.contains(field));
            let may_have = says("\"input\"") || says("\"system\"");
            match may_have.then(|| parse_object::<Without>(record)) {
                Some(Ok(more)) if context(&more) => more,
                _ => return Ok(Example::Sft(row)),
            }
        }
        Err(fault) => without_task(record, fault)?,
    };
    let not_empty = |text: &String| !text.is_empty();
    let instruction = match row.input.filter(not_empty) {
        Some(input) => format!("{}\n{input}", row.instruction),
        None => row.instruction,
    };
    let system = row.system.filter(not_empty).map(Message::system);
    let mut prompt: Vec<Message> = system.into_iter().collect();
    prompt.push(Message::user(instruction));
    Ok(Example::Completion(Completion {
        origin: Origin::default(),
        prompt,
        completion: vec![Message::assistant(row.response)],
    }))
}

/// What a record holds beside a task, if that it has none is all that is wrong with it.
fn without_task<T: serde::de::DeserializeOwned>(record: &[u8], fault: Error) -> Result<T> {
    let says_task = serde_json::from_slice::<serde_json::Value>(record)
        .ok()
        .is_none_or(|row| row.get("task").is_some_and(|task| !task.is_null()));
    match says_task {
        true => Err(fault),
        false => parse_object(record),
    }
}

/// The data set of a row that does not name one.
pub const UNKNOWN_DATASET: &str = "unknown";

fn first(violations: Vec<Error>) -> Result<()> {
    violations.into_iter().next().map_or(Ok(()), Err)
}

/// The names of a row and its problem; where the row has none, by the instruction.
fn names(
    id: Option<String>,
    parent_id: Option<String>,
    instruction: &str,
    turn: usize,
) -> (String, String) {
    if let (Some(id), Some(parent_id)) = (&id, &parent_id) {
        return (id.clone(), parent_id.clone());
    }
    let hash = instruction_hash(instruction);
    let depth = turn;
    let parent_id = parent_id.unwrap_or_else(|| hash.clone());
    let id = id.unwrap_or_else(|| RowId { hash, depth, turn }.to_string());
    (id, parent_id)
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
