//! Where the rewards of chosen and rejected actions go in training (arXiv 2404.02078, section 6.1 and figure 5).
//!
//! The paper's explanation of DPO's fall in reasoning is that it pushes the reward of chosen actions down. A single step has
//! few pairs, so a run is told by the means over the pairs of each quarter of its steps; [`reward_pass_correlation`] holds the
//! last of them against what the policies solve.

mod metrics_file;
mod tables;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::metrics::rank_correlation;
use crate::report::RewardPoint;

pub use metrics_file::{StageTrajectory, read_trajectories};
pub use tables::trajectory_table;

/// The rewards of one optimizer step, before its update.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StepRewards {
    /// The step, from 1.
    pub step: usize,
    /// Number of pairs, responses with a verdict, or prompts with scored responses.
    pub groups: usize,
    /// Number of chosen responses.
    pub chosen: usize,
    /// Number of rejected responses.
    pub rejected: usize,
    /// Their mean reward: of a policy beta times the log-ratio to its reference; 0 where there are none.
    pub chosen_reward: f64,
    /// As of the chosen ones.
    pub rejected_reward: f64,
    /// Share of groups whose chosen response has the highest reward; `None` where responses stand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// Means over the groups and responses of several steps, each counted once. A mean over nothing is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RewardMeans {
    /// Number of steps.
    pub steps: usize,
    /// Number of groups of them all.
    pub groups: usize,
    /// Number of chosen responses.
    pub chosen: usize,
    /// Number of rejected responses.
    pub rejected: usize,
    /// Mean reward of the chosen ones.
    pub chosen_reward: f64,
    /// Mean reward of the rejected ones.
    pub rejected_reward: f64,
    /// Chosen less rejected; 0 where there are none of one of the two.
    pub margin: f64,
    /// Share of groups whose chosen response has the highest reward; `None` where responses stand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// The rewards of a run, step by step and by quarters of its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardTrajectory {
    /// Every step, in order.
    pub steps: Vec<StepRewards>,
    /// Means over each quarter of the steps. Runs of fewer than four steps have quarters without any.
    pub quarters: [RewardMeans; 4],
}

impl RewardTrajectory {
    /// Of the steps of a run, in order.
    ///
    /// ```
    /// use eurus_eval::analyses::reward_trajectory::{RewardTrajectory, StepRewards};
    /// let step = |step: usize| StepRewards {
    ///     step,
    ///     groups: 6,
    ///     chosen: 6,
    ///     rejected: 6,
    ///     chosen_reward: 0.1 * step as f64,
    ///     rejected_reward: -0.2 * step as f64,
    ///     accuracy: Some(1.0),
    /// };
    /// let run = RewardTrajectory::new((1..=8).map(step).collect())?;
    /// assert!((run.last().chosen_reward - 0.75).abs() < 1e-12);
    /// assert!((run.last().margin - 2.25).abs() < 1e-12);
    /// # Ok::<(), eurus_eval::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoValues`] without steps, [`Error::NotFinite`] for a reward that is NaN or infinite, by its place among the
    /// steps.
    pub fn new(steps: Vec<StepRewards>) -> Result<Self> {
        if steps.is_empty() {
            return Err(Error::NoValues {
                what: "rewards in training",
            });
        }
        for (what, reward) in [
            (
                "chosen rewards",
                (|it| it.chosen_reward) as fn(&StepRewards) -> f64,
            ),
            ("rejected rewards", |it| it.rejected_reward),
        ] {
            let values: Vec<f64> = steps.iter().map(reward).collect();
            crate::metrics::check_finite(what, &values)?;
        }
        let quarters = [0, 1, 2, 3].map(|quarter| {
            let [from, to] = [quarter, quarter + 1].map(|at| at * steps.len() / 4);
            RewardMeans::of(&steps[from..to])
        });
        Ok(Self { steps, quarters })
    }

    /// Means over the last quarter of the steps, which always has some.
    pub fn last(&self) -> &RewardMeans {
        &self.quarters[3]
    }

    /// The points of [`Figure::reward_trajectories`](crate::report::Figure::reward_trajectories).
    pub fn points(&self) -> Vec<RewardPoint> {
        let point = |it: &StepRewards| RewardPoint {
            step: it.step,
            chosen: it.chosen_reward,
            rejected: it.rejected_reward,
        };
        self.steps.iter().map(point).collect()
    }
}

impl RewardMeans {
    /// Over some steps.
    pub fn of(steps: &[StepRewards]) -> Self {
        let means = steps.iter().fold(Self::default(), |means, step| Self {
            steps: means.steps + 1,
            groups: means.groups + step.groups,
            chosen: means.chosen + step.chosen,
            rejected: means.rejected + step.rejected,
            chosen_reward: joined(
                (means.chosen_reward, means.chosen),
                (step.chosen_reward, step.chosen),
            ),
            rejected_reward: joined(
                (means.rejected_reward, means.rejected),
                (step.rejected_reward, step.rejected),
            ),
            margin: 0.0,
            accuracy: match (means.accuracy, step.accuracy) {
                (Some(a), Some(b)) => Some(joined((a, means.groups), (b, step.groups))),
                (a, b) => a.or(b),
            },
        });
        Self {
            margin: match means.chosen > 0 && means.rejected > 0 {
                true => means.chosen_reward - means.rejected_reward,
                false => 0.0,
            },
            ..means
        }
    }
}

/// The mean over two sets of values, given by their means and counts. A set without values has no say.
fn joined((a, m): (f64, usize), (b, n): (f64, usize)) -> f64 {
    match (m, n) {
        (_, 0) => a,
        (0, _) => b,
        (m, n) => (a * m as f64 + b * n as f64) / (m + n) as f64,
    }
}

/// Spearman's rank correlation of the last chosen reward of several runs with what their policies solve, from -1 to 1: above
/// zero where policies whose chosen rewards fell solve less. `None` where all runs have one and the same of either.
///
/// # Errors
///
/// [`Error::NoValues`] without runs, [`Error::NotFinite`].
pub fn reward_pass_correlation<'a>(
    runs: impl IntoIterator<Item = (&'a RewardTrajectory, f64)>,
) -> Result<Option<f64>> {
    let runs = runs.into_iter();
    let (rewards, passes): (Vec<f64>, Vec<f64>) = runs
        .map(|(run, pass)| (run.last().chosen_reward, pass))
        .unzip();
    rank_correlation(&rewards, &passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: usize, groups: usize, chosen_reward: f64) -> StepRewards {
        StepRewards {
            step,
            groups,
            chosen: groups,
            rejected: groups,
            chosen_reward,
            rejected_reward: -chosen_reward,
            accuracy: Some(0.5),
        }
    }

    #[test]
    fn a_quarter_weighs_its_steps_by_their_pairs() {
        let steps = vec![
            step(1, 1, 1.0),
            step(2, 3, 2.0),
            step(3, 1, 0.0),
            step(4, 1, 0.0),
            step(5, 1, 0.0),
            step(6, 1, 0.0),
            step(7, 2, 4.0),
            step(8, 2, 5.0),
        ];
        let run = RewardTrajectory::new(steps).unwrap();
        assert_eq!(run.quarters[0].chosen_reward, 1.75);
        assert_eq!(run.quarters[0].margin, 3.5);
        assert_eq!((run.last().groups, run.last().chosen_reward), (4, 4.5));
        assert_eq!(run.points().len(), 8);
    }

    #[test]
    fn a_short_run_has_empty_quarters_and_a_last_one_that_has_steps() {
        let run = RewardTrajectory::new(vec![step(1, 2, 0.5)]).unwrap();
        assert_eq!(run.quarters[0], RewardMeans::default());
        assert_eq!((run.last().steps, run.last().chosen_reward), (1, 0.5));
        assert!(RewardTrajectory::new(Vec::new()).is_err());
        let error = RewardTrajectory::new(vec![step(1, 2, 0.5), step(2, 2, f64::NAN)]);
        assert!(matches!(error, Err(Error::NotFinite { index: 1, .. })));
    }

    #[test]
    fn runs_whose_chosen_rewards_fell_and_that_solve_less_go_together() {
        let runs: Vec<RewardTrajectory> = [-1.0, 0.0, 0.5]
            .map(|reward| RewardTrajectory::new(vec![step(1, 2, reward)]).unwrap())
            .into();
        let of = |passes: [f64; 3]| reward_pass_correlation(runs.iter().zip(passes)).unwrap();
        assert_eq!(of([0.1, 0.2, 0.3]), Some(1.0));
        assert_eq!(of([0.2, 0.2, 0.2]), None);
    }
}
