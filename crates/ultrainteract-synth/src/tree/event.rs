//! Events of tree construction, for observers.

use ultrainteract::PreferenceTree;

use super::{End, TurnCounts};
use crate::Error;

/// A step of tree construction, as it is told to the observer. Trees are built at the same time, so those of different problems
/// come in any order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An actor has answered.
    Sampled {
        /// The problem.
        problem: &'a str,
        /// The turn, from 1.
        turn: usize,
        /// The actor.
        actor: &'a str,
        /// Actions that were drawn.
        samples: usize,
    },
    /// A turn of a tree has ended.
    TurnFinished {
        /// The problem.
        problem: &'a str,
        /// The turn, from 1.
        turn: usize,
        /// Counts of its actions.
        counts: &'a TurnCounts,
    },
    /// A tree is finished.
    TreeFinished {
        /// The tree.
        tree: &'a PreferenceTree,
        /// Why it ends.
        end: End,
    },
    /// The [selector](crate::Team::selector) solves a problem, so it gets no tree.
    ProblemTooEasy {
        /// The problem.
        problem: &'a str,
    },
    /// A problem is given up for this run.
    ProblemFailed {
        /// The problem.
        problem: &'a str,
        /// Why.
        error: &'a Error,
    },
}
