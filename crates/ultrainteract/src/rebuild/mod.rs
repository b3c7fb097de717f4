//! Trees from pair rows: the released data sets hold pairs, the trees behind them are found again
//! by shared trajectories.
//!
//! Rows with the same `parent_id`, task, data set and instruction belong to one tree. A row's
//! trajectory is followed from the root as far as its messages are known, and the rest is added.
//! So the shared history of several pairs is stored once, a rejected action that a later row
//! expands is one node, and so is a chosen action that several pairs prefer.
//!
//! The rebuilt trees are exact: the pairs of the trees, derived again with
//! [`derive::pair_rows`](crate::derive::pair_rows), are the rows that went in, ids included, and in
//! order within a tree. What rows do not say stays unknown: an action that is in no pair is
//! [`Verdict::Unjudged`], actors are [`UNKNOWN_ACTOR`], and the schema is read off the text.
//!
//! Some rows cannot live in the same tree: the same action is followed by two different
//! observations, or is chosen in one row and rejected or expanded in another. Such a row starts a
//! second tree of the same id, and [`Rebuilder::splits`] says so.

mod files;
mod partitions;

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::formats::{self, PairRow};
use crate::{
    Action, ActionSource, Error, Message, NodeId, Observation, PreferenceTree, Result, Schema,
    Verdict,
};

pub use files::{Order, ParallelMap, Problem, Problems, problems, problems_counting};

/// The actor of an action whose row does not say who wrote it.
pub const UNKNOWN_ACTOR: &str = "unknown";

/// Trees from pair rows, in order of the first row of each.
///
/// ```
/// use ultrainteract::formats::PairRow;
/// use ultrainteract::{Message, Task, derive, rebuild};
///
/// let first = PairRow {
///     id: "p1_2_1".into(), parent_id: "p1".into(), task: Task::Logic, dataset: "toy".into(),
///     trajectory: vec![Message::user("Is 7 prime?")],
///     chosen: "Answer: yes".into(), rejected: "Answer: no".into(),
/// };
/// let mut second = PairRow { id: "p1_2_2".into(), rejected: "Answer: maybe".into(), ..first.clone() };
/// second.trajectory.push(Message::assistant("Answer: no"));
/// second.trajectory.push(Message::user("Your answer is wrong."));
///
/// let rows = [first, second];
/// let trees = rebuild::trees_from_pairs(&rows)?;
/// assert_eq!(trees.len(), 1);
/// assert_eq!(trees[0].len(), 6, "the expanded action is one node");
/// assert_eq!(derive::pair_rows(&trees[0]), rows);
/// # Ok::<(), ultrainteract::Error>(())
/// ```
///
/// # Errors
///
/// The first invalid row, or one with more than [`PreferenceTree::DEFAULT_MAX_TURNS`] turns.
pub fn trees_from_pairs<R: std::borrow::Borrow<PairRow>>(
    rows: impl IntoIterator<Item = R>,
) -> Result<Vec<PreferenceTree>> {
    let mut rebuilder = Rebuilder::new();
    for row in rows {
        rebuilder.push(row.borrow())?;
    }
    Ok(rebuilder.finish())
}

/// Trees from a file of pair rows, read row by row; errors name file and row.
///
/// # Errors
///
/// As [`trees_from_pairs`], and whatever is wrong with the file.
pub fn read_trees_from_pairs(path: impl AsRef<Path>) -> Result<Vec<PreferenceTree>> {
    let mut rows = formats::read_jsonl::<PairRow>(path)?;
    let mut rebuilder = Rebuilder::new();
    while let Some(row) = rows.next() {
        rebuilder.add(&row?).map_err(|fault| rows.locate(fault))?;
    }
    Ok(rebuilder.finish())
}

/// Why a row could not join the tree of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitReason {
    /// The same action is followed by another observation.
    OtherObservation,
    /// An action is chosen in one row and expanded in another.
    ChosenIsExpanded,
    /// An action is chosen in one row and rejected in another.
    ChosenIsRejected,
}

/// A row that started a second tree for its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// 1-based position of the row among those pushed.
    pub row: usize,
    /// The row's id.
    pub id: String,
    /// The conflict that kept it out of the first tree.
    pub reason: SplitReason,
}

/// Takes rows one by one and grows the trees they belong to.
///
/// A row that is refused changes nothing, so a caller may drop it and go on.
#[derive(Debug, Clone)]
pub struct Rebuilder {
    trees: Vec<PreferenceTree>,
    by_parent: HashMap<String, Vec<usize>>,
    max_turns: usize,
    rows: usize,
    splits: Vec<Split>,
}

impl Default for Rebuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl Rebuilder {
    /// No rows yet; trees may have [`PreferenceTree::DEFAULT_MAX_TURNS`] turns.
    pub fn new() -> Self {
        Self {
            trees: Vec::new(),
            by_parent: HashMap::new(),
            max_turns: PreferenceTree::DEFAULT_MAX_TURNS,
            rows: 0,
            splits: Vec::new(),
        }
    }

    /// Allows another number of turns in the trees that start from now on.
    ///
    /// # Errors
    ///
    /// The limit is zero.
    pub fn with_max_turns(mut self, max_turns: usize) -> Result<Self> {
        if max_turns == 0 {
            return Err(Error::Setting {
                name: "max_turns",
                found: 0,
                expected: "at least 1".to_string(),
            });
        }
        self.max_turns = max_turns;
        Ok(self)
    }

    /// As [`with_max_turns`](Self::with_max_turns); a limit of zero refuses every row.
    pub(crate) fn limited(max_turns: usize) -> Self {
        Self {
            max_turns,
            ..Self::new()
        }
    }

    /// Adds a row to its tree, or starts one. An error names the row by position and id.
    ///
    /// # Errors
    ///
    /// The row is invalid or has too many turns.
    pub fn push(&mut self, row: &PairRow) -> Result<()> {
        self.add(row)
            .map_err(|fault| fault.in_pair(self.rows, &row.id))
    }

    /// The rows that started a second tree for their parent, so far.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// The trees, in order of the first row of each.
    pub fn finish(self) -> Vec<PreferenceTree> {
        self.trees
    }

    fn add(&mut self, row: &PairRow) -> Result<()> {
        self.rows += 1;
        row.validate()?;
        if row.turn() > self.max_turns {
            return Err(Error::TooManyTurns {
                tree: row.parent_id.clone(),
                turn: row.turn(),
                max: self.max_turns,
            });
        }
        let mut obstacle = None;
        let candidates = self.by_parent.get(&row.parent_id);
        for &index in candidates.into_iter().flatten() {
            let tree = &mut self.trees[index];
            if !same_problem(tree, row) {
                continue;
            }
            match conflict(tree, row) {
                None => return insert(tree, row),
                Some(reason) => obstacle = obstacle.or(Some(reason)),
            }
        }
        let mut tree = PreferenceTree::new(
            row.parent_id.as_str(),
            row.task,
            row.dataset.as_str(),
            row.trajectory[0].content.as_str(),
        )?
        .with_max_turns(self.max_turns)?;
        insert(&mut tree, row)?;
        self.by_parent
            .entry(row.parent_id.clone())
            .or_default()
            .push(self.trees.len());
        self.trees.push(tree);
        if let Some(reason) = obstacle {
            self.splits.push(Split {
                row: self.rows,
                id: row.id.clone(),
                reason,
            });
        }
        Ok(())
    }
}

fn same_problem(tree: &PreferenceTree, row: &PairRow) -> bool {
    tree.task() == row.task
        && tree.dataset() == row.dataset
        && tree.instruction() == row.trajectory[0].content
        && row.turn() <= tree.max_turns()
}

/// The turns before the pair: each an action and what came back.
fn past_turns(row: &PairRow) -> impl Iterator<Item = (&Message, &Message)> {
    row.trajectory[1..]
        .chunks_exact(2)
        .map(|turn| (&turn[0], &turn[1]))
}

/// The conflict that keeps a row out of a tree, if there is one. Checked before anything is added,
/// so that a tree that refuses a row is unchanged.
fn conflict(tree: &PreferenceTree, row: &PairRow) -> Option<SplitReason> {
    let mut prompt = tree.root();
    for (action, observation) in past_turns(row) {
        // Where the tree knows nothing yet, nothing can contradict.
        let action = tree.find_action(prompt, &action.content)?;
        if verdict(tree, action) == Verdict::Correct {
            return Some(SplitReason::ChosenIsExpanded);
        }
        let known = *tree.children(action).first()?;
        if tree.node(known).text() != observation.content {
            return Some(SplitReason::OtherObservation);
        }
        prompt = known;
    }
    if let Some(chosen) = tree.find_action(prompt, &row.chosen) {
        if verdict(tree, chosen) == Verdict::Incorrect {
            return Some(SplitReason::ChosenIsRejected);
        }
        if !tree.children(chosen).is_empty() {
            return Some(SplitReason::ChosenIsExpanded);
        }
    }
    let rejected = tree.find_action(prompt, &row.rejected)?;
    (verdict(tree, rejected) == Verdict::Correct).then_some(SplitReason::ChosenIsRejected)
}

fn insert(tree: &mut PreferenceTree, row: &PairRow) -> Result<()> {
    let mut prompt = tree.root();
    for (action, observation) in past_turns(row) {
        let action = find_or_add(tree, prompt, &action.content, Verdict::Unjudged)?;
        prompt = match tree.children(action).first() {
            Some(&known) => known,
            None => tree.add_observation(action, Observation::parse(&observation.content))?,
        };
    }
    let chosen = find_or_add(tree, prompt, &row.chosen, Verdict::Correct)?;
    let rejected = find_or_add(tree, prompt, &row.rejected, Verdict::Incorrect)?;
    tree.add_pair_with_id(chosen, rejected, row.id.as_str())
}

fn find_or_add(
    tree: &mut PreferenceTree,
    prompt: NodeId,
    text: &str,
    verdict: Verdict,
) -> Result<NodeId> {
    match tree.find_action(prompt, text) {
        Some(known) => {
            if verdict != Verdict::Unjudged {
                tree.judge(known, verdict)?;
            }
            Ok(known)
        }
        None => tree.add_action(
            prompt,
            Action {
                text: text.to_string(),
                verdict,
                actor: UNKNOWN_ACTOR.to_string(),
                schema: Schema::of(text),
                source: ActionSource::Sampled,
            },
        ),
    }
}

fn verdict(tree: &PreferenceTree, action: NodeId) -> Verdict {
    tree.node(action)
        .action()
        .map_or(Verdict::Unjudged, |action| action.verdict)
}
