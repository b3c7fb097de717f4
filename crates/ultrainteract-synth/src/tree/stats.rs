//! The account of a run.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

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

/// Actions that were dropped, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Cut off at the limit of tokens.
    pub length: usize,
    /// Withheld by the server.
    pub withheld: usize,
    /// Empty.
    pub empty: usize,
    /// Equal to another action of the same turn.
    pub duplicate: usize,
    /// With code that is not Python.
    pub syntax: usize,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> usize {
        self.length + self.withheld + self.empty + self.duplicate + self.syntax
    }
}

/// Counts of the actions at one turn of one problem, or of many.
///
/// `sampled = dropped + correct + incorrect + unjudged`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnCounts {
    /// Actions that were drawn.
    pub sampled: usize,
    /// Actions that were dropped.
    pub dropped: Dropped,
    /// Different actions that were correct.
    pub correct: usize,
    /// Different actions that were incorrect.
    pub incorrect: usize,
    /// Different actions that the environment could not judge.
    pub unjudged: usize,
    /// Pairs that were made.
    pub pairs: usize,
    /// Turns at which a stronger actor found a correct action where the actor had none.
    pub escalated: usize,
    /// Correct actions that a teacher wrote with an annotated solution before its eyes.
    pub elicited: usize,
    /// Annotated solutions that stood in for a correct action.
    pub fallbacks: usize,
}

impl TurnCounts {
    /// Whether there is a correct and an incorrect action, so that a pair can be made.
    pub(super) fn has_both(&self) -> bool {
        self.correct > 0 && self.incorrect > 0
    }
}

impl AddAssign<&TurnCounts> for TurnCounts {
    fn add_assign(&mut self, other: &TurnCounts) {
        self.sampled += other.sampled;
        self.dropped.length += other.dropped.length;
        self.dropped.withheld += other.dropped.withheld;
        self.dropped.empty += other.dropped.empty;
        self.dropped.duplicate += other.dropped.duplicate;
        self.dropped.syntax += other.dropped.syntax;
        self.correct += other.correct;
        self.incorrect += other.incorrect;
        self.unjudged += other.unjudged;
        self.pairs += other.pairs;
        self.escalated += other.escalated;
        self.elicited += other.elicited;
        self.fallbacks += other.fallbacks;
    }
}

/// The account of a turn over all problems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnStats {
    /// The turn, from 1.
    pub turn: usize,
    /// Problems that took it.
    pub problems: usize,
    /// Counts of the turn's actions.
    #[serde(flatten)]
    pub counts: TurnCounts,
}

/// The account of one tree or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynthStats {
    /// One entry per turn, the first turn first.
    pub turns: Vec<TurnStats>,
    /// Trees that ended at the limit of turns.
    pub ended_at_turn_limit: usize,
    /// Trees that ended because a turn had no incorrect action.
    pub ended_without_incorrect: usize,
    /// Trees that ended because a turn had no usable action at all.
    pub ended_without_action: usize,
    /// Problems without a tree, because the selector solved them.
    pub too_easy: usize,
}

impl SynthStats {
    /// All turns together.
    pub fn total(&self) -> TurnCounts {
        let mut total = TurnCounts::default();
        for turn in &self.turns {
            total += &turn.counts;
        }
        total
    }

    /// The entry of a turn.
    fn turn(&mut self, turn: usize) -> &mut TurnStats {
        for missing in self.turns.len() + 1..=turn {
            self.turns.push(TurnStats {
                turn: missing,
                ..TurnStats::default()
            });
        }
        &mut self.turns[turn - 1]
    }

    pub(super) fn count_turn(&mut self, turn: usize, counts: &TurnCounts) {
        let entry = self.turn(turn);
        entry.problems += 1;
        entry.counts += counts;
    }

    /// Counts what belongs to a turn that was counted already.
    pub(super) fn count_further(&mut self, turn: usize, counts: &TurnCounts) {
        self.turn(turn).counts += counts;
    }

    pub(super) fn count_end(&mut self, end: End) {
        match end {
            End::TurnLimit => self.ended_at_turn_limit += 1,
            End::NoIncorrect => self.ended_without_incorrect += 1,
            End::NoAction => self.ended_without_action += 1,
        }
    }
}

impl AddAssign<&SynthStats> for SynthStats {
    fn add_assign(&mut self, other: &SynthStats) {
        for (index, turn) in other.turns.iter().enumerate() {
            let entry = self.turn(index + 1);
            entry.problems += turn.problems;
            entry.counts += &turn.counts;
        }
        self.ended_at_turn_limit += other.ended_at_turn_limit;
        self.ended_without_incorrect += other.ended_without_incorrect;
        self.ended_without_action += other.ended_without_action;
        self.too_easy += other.too_easy;
    }
}
