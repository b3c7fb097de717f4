//! Events of tree construction, for observers.

use ultrainteract::PreferenceTree;

use super::{End, TurnStats};
use crate::Error;

/// A step of tree construction, as it is told to the observer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A store had something to go on from.
    Resumed {
        /// Problems whose trees are finished already.
        finished: usize,
        /// Problems that have some turns already.
        started: usize,
    },
    /// A turn begins.
    TurnStarted {
        /// The turn, from 1.
        turn: usize,
        /// Problems that take it in this run.
        problems: usize,
    },
    /// An actor has answered a batch.
    Sampled {
        /// The turn.
        turn: usize,
        /// The actor.
        actor: &'a str,
        /// Problems of the batch.
        problems: usize,
        /// Actions that were drawn.
        samples: usize,
    },
    /// The environment has tried the actions of a batch.
    Executed {
        /// The turn.
        turn: usize,
        /// Actions that were tried.
        actions: usize,
    },
    /// A problem is given up for this run; a later run takes it up again at this turn.
    ProblemFailed {
        /// The problem.
        problem: &'a str,
        /// The turn.
        turn: usize,
        /// Why.
        error: &'a Error,
    },
    /// A tree is finished.
    TreeFinished {
        /// The tree.
        tree: &'a PreferenceTree,
        /// Why it ends.
        end: End,
    },
    /// A turn has ended for all problems.
    TurnFinished {
        /// Its account, turns of earlier runs included.
        stats: &'a TurnStats,
    },
}
