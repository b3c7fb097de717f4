//! One reward for a whole response, made of those of its turns.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::separation::{Scored, Separation};
use super::{JudgedTree, JudgedTurn};
use crate::error::Result;
use crate::metrics::mean;

/// How the rewards of turns become one of the whole trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Their sum: of log-ratios, that of the whole response.
    Sum,
    /// Their mean.
    Mean,
    /// The least of them: a response is as good as its worst step (arXiv 2412.01981).
    Min,
    /// The last one alone.
    Last,
}

impl Aggregation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sum, Self::Mean, Self::Min, Self::Last];

    /// The reward of the whole; `None` of nothing.
    ///
    /// ```
    /// use eurus_eval::analyses::process_rewards::Aggregation;
    /// let rewards = [1.0, -3.0, 0.5];
    /// let of_all = Aggregation::ALL.map(|it| it.of(&rewards));
    /// assert_eq!(of_all, [Some(-1.5), Some(-0.5), Some(-3.0), Some(0.5)]);
    /// ```
    pub fn of(self, rewards: &[f64]) -> Option<f64> {
        let last = rewards.last()?;
        Some(match self {
            Self::Sum => rewards.iter().sum(),
            Self::Mean => mean(rewards),
            Self::Min => rewards.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Last => *last,
        })
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "minimum",
            Self::Last => "last",
        })
    }
}

/// How well one way to make a reward of a whole response tells whether it ends right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResponseReward {
    /// The way.
    pub aggregation: Aggregation,
    /// Over all trajectories whose last turn was judged. Its pairs are responses of one tree, of which one would be chosen.
    pub separation: Separation,
}

/// A trajectory whose last turn was judged.
pub(super) struct End {
    tree: usize,
    correct: bool,
    rewards: Vec<f64>,
}

pub(super) fn ends(trees: &[JudgedTree]) -> Vec<End> {
    let ends = trees.iter().enumerate().flat_map(|(tree, judged)| {
        let trajectories = judged.trajectories().into_iter();
        trajectories.filter_map(move |turns| {
            Some(End {
                tree,
                correct: turns.last()?.correct?,
                rewards: turns.iter().map(|turn: &&JudgedTurn| turn.reward).collect(),
            })
        })
    });
    ends.collect()
}

pub(super) fn aggregated(ends: &[End]) -> Result<Vec<ResponseReward>> {
    let of = |aggregation: Aggregation| {
        Ok(ResponseReward {
            aggregation,
            separation: separation(ends, |rewards| aggregation.of(rewards))?,
        })
    };
    Aggregation::ALL.into_iter().map(of).collect()
}

pub(super) fn fewer_turns(ends: &[End]) -> Result<Separation> {
    separation(ends, |rewards| Some(-(rewards.len() as f64)))
}

fn separation(ends: &[End], value: impl Fn(&[f64]) -> Option<f64>) -> Result<Separation> {
    let scored = ends.iter().filter_map(|end| {
        Some(Scored {
            value: value(&end.rewards)?,
            correct: end.correct,
            tree: end.tree,
            group: end.tree,
        })
    });
    Separation::of(&scored.collect::<Vec<_>>())
}
