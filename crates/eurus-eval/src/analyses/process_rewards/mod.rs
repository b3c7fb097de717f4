//! Rewards of every turn against the verdicts of preference trees.
//!
//! A policy that learned from preferences has a reward of every turn without having been taught one: beta times the logarithm
//! of its probability over that of its reference (arXiv 2412.01981). Whether that reward knows right from wrong is asked in
//! four ways:
//!
//! | question | answer |
//! | --- | --- |
//! | does a correct action have a higher reward than an incorrect one of any tree? | AUC over all turns |
//! | ... than an incorrect one to the same history? | share of such pairs of siblings, which have all but the action in common |
//! | is the least reward of a trajectory at its first wrong turn? | [`FirstError`], beside chance |
//! | do sum, mean, least or last reward tell whether a whole response ends right? | [`ResponseReward`] |
//!
//! A log-ratio grows with the number of tokens, so what length alone would tell stands beside it.
//!
//! ```
//! use eurus_eval::analyses::process_rewards::{JudgedTree, JudgedTurn, evaluate_process_rewards};
//!
//! let turn = |name: &str, parent, reward, correct| JudgedTurn {
//!     name: name.to_owned(),
//!     parent,
//!     reward,
//!     correct: Some(correct),
//!     tokens: None,
//! };
//! // A wrong action, a right one beside it, and a right one after it.
//! let tree = JudgedTree {
//!     id: "sum".to_owned(),
//!     turns: vec![
//!         turn("1", None, -0.4, false),
//!         turn("2", None, 0.3, true),
//!         turn("4", Some(0), 0.1, true),
//!     ],
//! };
//! let report = evaluate_process_rewards(&[tree])?;
//! assert_eq!(report.reward.auc, Some(1.0));
//! assert_eq!(report.reward.pair_accuracy.map(|it| it.mean), Some(1.0));
//! assert_eq!(report.first_error.map(|it| it.found.mean), Some(1.0));
//! # Ok::<(), eurus_eval::Error>(())
//! ```

mod first_error;
mod responses;
mod rows;
mod separation;
mod tables;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use first_error::{FirstError, finds_first_error};
pub use responses::{Aggregation, ResponseReward};
pub use rows::{ProcessScores, RewardField};
pub use separation::Separation;
pub use tables::{comparison_table, response_table, turn_table};

use separation::Scored;

/// An action of a tree, or a step of any process, with its reward and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedTurn {
    /// Its name in the tree.
    pub name: String,
    /// The place of the turn before it in [`JudgedTree::turns`], which comes earlier; `None` for a first turn.
    #[serde(default)]
    pub parent: Option<usize>,
    /// Its reward, in any unit: only the order of rewards counts, and for [`Aggregation::Sum`] and [`Aggregation::Mean`] their
    /// differences.
    pub reward: f64,
    /// Whether it is right; `None` where nobody judged it.
    #[serde(default)]
    pub correct: Option<bool>,
    /// Its length in tokens.
    #[serde(default)]
    pub tokens: Option<usize>,
}

/// The turns of one problem. A single trajectory is a tree whose turns follow each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedTree {
    /// Its id.
    pub id: String,
    /// Its turns, each after the one that it follows.
    pub turns: Vec<JudgedTurn>,
}

/// The report of [`evaluate_process_rewards`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessRewardReport {
    /// Number of trees.
    pub trees: usize,
    /// Number of turns with a verdict.
    pub turns: usize,
    /// Number of turns that nobody judged: they count in the rewards of whole responses alone.
    pub unjudged: usize,
    /// How well the reward of a turn tells its verdict. Its pairs are siblings: answers to one history.
    pub reward: Separation,
    /// The same of the number of tokens; `None` unless every judged turn has one. An AUC below one half says that right actions
    /// are shorter.
    pub length_only: Option<Separation>,
    /// The same at each turn of the trees.
    pub by_turn: Vec<TurnSeparation>,
    /// Where the least reward of a trajectory is; `None` without trajectories of two turns or more that have a wrong one.
    pub first_error: Option<FirstError>,
    /// How well rewards made of those of the turns tell the verdict of a whole response.
    pub responses: Vec<ResponseReward>,
    /// What counting turns tells of the same, fewer being better: a trajectory that ends right often ends sooner, and a sum or a
    /// minimum over fewer turns is often higher.
    pub fewer_turns: Separation,
}

/// How well rewards tell the verdicts of one turn of trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnSeparation {
    /// The turn, from 1.
    pub turn: usize,
    /// How well they do.
    pub separation: Separation,
}

/// Holds the rewards of turns against their verdicts.
///
/// Trees are independent, turns of one tree are not: intervals draw trees, and standard errors are clustered by tree.
///
/// # Errors
///
/// [`Error::NoValues`] without trees; [`Error::Turn`] for a reward that is NaN or infinite and for a turn that does not stand
/// after the one it follows; [`Error::NoVerdicts`] for a tree of which no turn has a verdict; [`Error::OneVerdict`] where all
/// turns are right or all are wrong, so that there is nothing to tell apart.
pub fn evaluate_process_rewards(trees: &[JudgedTree]) -> Result<ProcessRewardReport> {
    if trees.is_empty() {
        return Err(Error::NoValues {
            what: "process rewards",
        });
    }
    let mut rewards: Vec<Scored> = Vec::new();
    let mut lengths: Option<Vec<Scored>> = Some(Vec::new());
    let mut by_turn: BTreeMap<usize, Vec<Scored>> = BTreeMap::new();
    let mut unjudged = 0;
    let mut siblings = 0;
    for (tree, judged) in trees.iter().enumerate() {
        let depths = judged.depths()?;
        // First turns are siblings of each other, and so are those that follow one turn.
        let first_group = siblings;
        siblings += judged.turns.len() + 1;
        for (turn, depth) in judged.turns.iter().zip(depths) {
            let Some(correct) = turn.correct else {
                unjudged += 1;
                continue;
            };
            let scored = |value| Scored {
                value,
                correct,
                tree,
                group: first_group + turn.parent.map_or(0, |parent| parent + 1),
            };
            rewards.push(scored(turn.reward));
            by_turn.entry(depth).or_default().push(scored(turn.reward));
            lengths = lengths.zip(turn.tokens).map(|(mut lengths, tokens)| {
                lengths.push(scored(tokens as f64));
                lengths
            });
        }
    }
    let reward = Separation::of(&rewards)?;
    if reward.auc.is_none() {
        return Err(Error::OneVerdict {
            turns: rewards.len(),
            verdict: if reward.correct > 0 {
                "correct"
            } else {
                "incorrect"
            },
        });
    }
    let by_turn = by_turn.into_iter().map(|(turn, scored)| {
        let separation = Separation::of(&scored)?;
        Ok(TurnSeparation { turn, separation })
    });
    let ends = responses::ends(trees);
    Ok(ProcessRewardReport {
        trees: trees.len(),
        turns: rewards.len(),
        unjudged,
        reward,
        length_only: lengths.map(|it| Separation::of(&it)).transpose()?,
        by_turn: by_turn.collect::<Result<_>>()?,
        first_error: first_error::locate(trees)?,
        responses: responses::aggregated(&ends)?,
        fewer_turns: responses::fewer_turns(&ends)?,
    })
}

impl JudgedTree {
    /// The turn of each, from 1, once all have been checked.
    fn depths(&self) -> Result<Vec<usize>> {
        let fault = |turn: &JudgedTurn, problem: String| Error::Turn {
            tree: self.id.clone(),
            turn: turn.name.clone(),
            problem,
        };
        let mut depths: Vec<usize> = Vec::with_capacity(self.turns.len());
        for turn in &self.turns {
            if !turn.reward.is_finite() {
                let problem = format!("its reward is {}, and must be a finite number", turn.reward);
                return Err(fault(turn, problem));
            }
            let depth = match turn.parent {
                None => Some(1),
                Some(parent) => depths.get(parent).map(|depth| depth + 1),
            };
            depths.push(depth.ok_or_else(|| {
                let problem = "it follows a turn that does not stand before it; put it after that";
                fault(turn, problem.to_owned())
            })?);
        }
        match self.turns.iter().any(|turn| turn.correct.is_some()) {
            true => Ok(depths),
            false => Err(Error::NoVerdicts {
                tree: self.id.clone(),
            }),
        }
    }

    /// The turns of each trajectory, from the first to one that nothing follows.
    fn trajectories(&self) -> Vec<Vec<&JudgedTurn>> {
        let mut is_leaf = vec![true; self.turns.len()];
        for parent in self.turns.iter().filter_map(|turn| turn.parent) {
            is_leaf[parent] = false;
        }
        let leaves = self.turns.iter().zip(is_leaf).filter(|it| it.1);
        let trajectories = leaves.map(|(leaf, _)| {
            let parent = |turn: &&JudgedTurn| turn.parent.map(|it| &self.turns[it]);
            let mut turns: Vec<&JudgedTurn> = std::iter::successors(Some(leaf), parent).collect();
            turns.reverse();
            turns
        });
        trajectories.collect()
    }
}
