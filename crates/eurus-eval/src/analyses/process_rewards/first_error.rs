//! Whether the least reward of a trajectory is where it first goes wrong.

use serde::{Deserialize, Serialize};

use super::{JudgedTree, JudgedTurn};
use crate::error::Result;
use crate::metrics::{Proportion, mean};

/// How often the turn with the least reward is the first wrong one.
///
/// Counted are trajectories of two turns or more, all judged, of which one is wrong: in one of a single turn there is nothing to
/// find. In UltraInteract's trees a right action ends its trajectory, so the first wrong turn is always the first turn
/// ([`first_turn`](Self::first_turn) is 1) and a judge that names the first turn is never mistaken; steps that were judged one by
/// one, as in ProcessBench, ask the question in earnest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FirstError {
    /// Share of the trajectories in which it is, those with several least rewards counting by the chance to name the right one.
    /// Its standard error is over trees, its count that of the trajectories.
    pub found: Proportion,
    /// What naming a turn at random would give: the mean of 1 over the number of turns.
    pub chance: f64,
    /// What always naming the first turn would give.
    pub first_turn: f64,
}

/// The chance to name the first wrong step by the least reward, which is 0 or 1 unless several steps have it; `None` for steps
/// that are all right.
///
/// ```
/// use eurus_eval::analyses::process_rewards::finds_first_error;
/// let correct = [true, false, false];
/// assert_eq!(finds_first_error(&[0.2, -0.5, -0.1], &correct), Some(1.0));
/// assert_eq!(finds_first_error(&[0.2, -0.1, -0.5], &correct), Some(0.0));
/// assert_eq!(finds_first_error(&[0.2, -0.5, -0.5], &correct), Some(0.5));
/// assert_eq!(finds_first_error(&[0.2], &[true]), None);
/// ```
pub fn finds_first_error(rewards: &[f64], correct: &[bool]) -> Option<f64> {
    let first = correct.iter().position(|correct| !correct)?;
    let least = rewards.iter().copied().reduce(f64::min)?;
    let ties = rewards.iter().filter(|&&reward| reward == least).count();
    Some(match rewards.get(first) == Some(&least) {
        true => 1.0 / ties as f64,
        false => 0.0,
    })
}

pub(super) fn locate(trees: &[JudgedTree]) -> Result<Option<FirstError>> {
    let (mut found, mut of_trees) = (Vec::new(), Vec::new());
    let (mut chances, mut first_turns) = (Vec::new(), Vec::new());
    for (tree, judged) in trees.iter().enumerate() {
        for turns in judged.trajectories() {
            let verdicts: Option<Vec<bool>> = turns.iter().map(|turn| turn.correct).collect();
            let Some(verdicts) = verdicts.filter(|it| it.len() > 1) else {
                continue;
            };
            let rewards: Vec<f64> = turns.iter().map(|turn: &&JudgedTurn| turn.reward).collect();
            if let Some(share) = finds_first_error(&rewards, &verdicts) {
                found.push(share);
                of_trees.push(tree);
                chances.push(1.0 / turns.len() as f64);
                first_turns.push(f64::from(u8::from(!verdicts[0])));
            }
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    Ok(Some(FirstError {
        found: Proportion::from_clusters(&found, &of_trees)?,
        chance: mean(&chances),
        first_turn: mean(&first_turns),
    }))
}
