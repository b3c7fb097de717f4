//! One turn of one problem, as it is stored and put into the tree.

use serde::{Deserialize, Serialize};
use ultrainteract::{Action, NodeId, Observation, PreferenceTree};

use super::TurnCounts;
use crate::{Problem, Result};

/// Why a tree ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It has as many turns as it may have.
    TurnLimit,
    /// No incorrect action was found that could be expanded.
    NoIncorrect,
    /// No usable action was found at all.
    NoAction,
}

/// The record of one turn: the nodes and counts it added to a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TurnRecord {
    /// The problem.
    pub problem: String,
    /// A fingerprint of its instruction and answer.
    pub fingerprint: String,
    /// The turn, from 1.
    pub turn: usize,
    /// The correct action.
    pub chosen: Option<Action>,
    /// The incorrect action.
    pub rejected: Option<Action>,
    /// The observation on the incorrect action, if the tree goes on.
    pub observation: Option<Observation>,
    /// Why the tree ends here, if it does.
    pub end: Option<End>,
    /// Counts of the turn's actions.
    pub counts: TurnCounts,
}

/// The fingerprint that the records of a problem are known by.
pub(super) fn fingerprint(problem: &Problem) -> String {
    crate::seed::fingerprint(&format!(
        "{}\n{}\n{}",
        problem.instruction,
        problem.gold.identity(),
        problem.rationale().unwrap_or_default()
    ))
}

/// A tree on its way.
#[derive(Debug)]
pub(super) struct Growing<'p> {
    pub problem: &'p Problem,
    pub fingerprint: String,
    pub tree: PreferenceTree,
    /// Where the next actions go.
    pub at: NodeId,
    /// The actions on the path to there.
    pub path: Vec<String>,
    /// The turn that comes next, from 1.
    pub turn: usize,
    pub has_correct: bool,
    pub end: Option<End>,
}

impl<'p> Growing<'p> {
    pub fn new(problem: &'p Problem, max_turns: usize) -> Result<Self> {
        let tree = PreferenceTree::new(
            &problem.id,
            problem.task,
            &problem.dataset,
            &problem.instruction,
        )?
        .with_max_turns(max_turns)?;
        let tree = match problem.ground_truth() {
            Some(truth) => tree.with_ground_truth(truth),
            None => tree,
        };
        Ok(Self {
            problem,
            fingerprint: fingerprint(problem),
            at: tree.root(),
            tree,
            path: Vec::new(),
            turn: 1,
            has_correct: false,
            end: None,
        })
    }

    /// Adds a turn.
    pub fn grow(&mut self, record: &TurnRecord) -> Result<()> {
        let add = |tree: &mut PreferenceTree, action: &Option<Action>| {
            let action = action.clone();
            action
                .map(|action| tree.add_action(self.at, action))
                .transpose()
        };
        let chosen = add(&mut self.tree, &record.chosen)?;
        let rejected = add(&mut self.tree, &record.rejected)?;
        if let (Some(chosen), Some(rejected)) = (chosen, rejected) {
            self.tree.add_pair(chosen, rejected)?;
        }
        if let (Some(node), Some(action), Some(observation)) =
            (rejected, &record.rejected, &record.observation)
        {
            self.at = self.tree.add_observation(node, observation.clone())?;
            self.path.push(action.text.clone());
        }
        self.has_correct |= chosen.is_some();
        self.turn = record.turn + 1;
        self.end = record.end;
        Ok(())
    }
}
