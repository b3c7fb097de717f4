//! A monitor for preference training that collapses.
//!
//! A loss that counts margins alone is content when the log-probs of chosen *and* rejected responses
//! fall, as long as the rejected ones fall faster. On reasoning data DPO does just that: its chosen
//! rewards fall towards minus infinity, and below those of rejected responses, while the loss still
//! goes down (arXiv 2404.02078, Section 5.1 and Figure 5). The monitor reads the statistics that are
//! logged anyway and says so while there is still something to save.

mod config;
mod line;
mod warning;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::stats::PreferenceStats;
use line::{Line, robust_start};

pub use config::CollapseMonitorConfig;
pub use warning::{CollapseKind, CollapseWarning, Statistic, Trend};

/// Watches the statistics of a preference run for collapse; see [the module](self).
///
/// Feed it once per step. It is a plain state machine: the same numbers give the same warnings. It
/// warns once of each kind until that kind recovers. Where several kinds appear in one step, the
/// others follow with the next steps.
///
/// A fall is reported when three things hold: the level is below the start by more than the allowed
/// fall, the slope over the window is steeper than the allowed slope, and the slope is so by more
/// than `confidence` standard errors. So neither a noisy step nor a fall that has ended raises it.
///
/// # Examples
///
/// ```
/// use pref_losses::collapse::{CollapseKind, CollapseMonitorConfig};
/// use pref_losses::PreferenceStats;
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let mut monitor = CollapseMonitorConfig::default().init()?;
/// // Both rewards fall, the rejected one faster: margin and loss look fine.
/// let warning = (0..200).find_map(|step| {
///     let chosen_reward = -0.02 * step as f64;
///     let margin = 0.05 * step as f64;
///     let stats = PreferenceStats {
///         chosen: 32,
///         rejected: 32,
///         chosen_reward,
///         rejected_reward: chosen_reward - margin,
///         margin,
///         ..PreferenceStats::default()
///     };
///     monitor.observe(step, &stats)
/// });
/// let warning = warning.expect("a fall by 1 was crossed at step 50");
/// assert_eq!(warning.kind(), CollapseKind::ChosenRewardFalling);
/// assert!((warning.trend().expect("a fall has a trend").slope + 0.02).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CollapseMonitor {
    config: CollapseMonitorConfig,
    observations: VecDeque<Observation>,
    /// Levels at the start of the first full window.
    start: Option<Levels<f64>>,
    /// Kinds that were warned of and have not recovered.
    warned: Vec<CollapseKind>,
}

/// The levels of one step that are kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Observation {
    step: usize,
    levels: Levels<f64>,
}

/// The quantities whose trends are followed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Levels<T> {
    chosen_reward: T,
    chosen_log_prob: T,
    margin: T,
}

impl Levels<Vec<(f64, f64)>> {
    fn map<T>(&self, of: impl Fn(&[(f64, f64)]) -> T) -> Levels<T> {
        Levels {
            chosen_reward: of(&self.chosen_reward),
            chosen_log_prob: of(&self.chosen_log_prob),
            margin: of(&self.margin),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Raised,
    /// Neither here nor there: what was warned of stays so.
    Unchanged,
    Recovered,
}

impl CollapseMonitor {
    fn new(config: CollapseMonitorConfig) -> Self {
        Self {
            observations: VecDeque::with_capacity(config.window),
            config,
            start: None,
            warned: Vec::new(),
        }
    }

    /// Takes in the statistics of a step.
    ///
    /// Steps without chosen or without rejected responses are passed over, and so are non-finite ones once they are reported. Steps
    /// may be left out. A step that does not come after the last one (the run went back to a
    /// checkpoint) takes the place of those that it goes back over.
    pub fn observe(&mut self, step: usize, stats: &PreferenceStats) -> Option<CollapseWarning> {
        if !stats.has_both() {
            return None;
        }
        if let Some(statistic) = non_finite(stats) {
            return self.once(CollapseWarning::NonFinite { step, statistic });
        }
        self.forget(CollapseKind::NonFinite);
        self.push(step, stats);
        if self.observations.len() < self.config.window {
            return None;
        }

        let points = Levels {
            chosen_reward: self.points(|levels| levels.chosen_reward),
            chosen_log_prob: self.points(|levels| levels.chosen_log_prob),
            margin: self.points(|levels| levels.margin),
        };
        let start = *self.start.get_or_insert_with(|| points.map(robust_start));
        let lines = points.map(Line::through);
        let reward = self.trend(&lines.chosen_reward, start.chosen_reward);
        let log_prob = self.trend(&lines.chosen_log_prob, start.chosen_log_prob);
        let margin = self.trend(&lines.margin, start.margin);
        let findings = [
            (
                CollapseWarning::ChosenRewardFalling(reward),
                self.falling(
                    &reward,
                    self.config.chosen_reward_fall,
                    self.config.chosen_reward_slope,
                ),
            ),
            (
                CollapseWarning::ChosenBelowRejected(margin),
                self.inverted(&lines.margin),
            ),
            (
                CollapseWarning::ChosenLogProbFalling(log_prob),
                self.falling(
                    &log_prob,
                    self.config.chosen_log_prob_fall,
                    self.config.chosen_log_prob_slope,
                ),
            ),
            (
                CollapseWarning::MarginExploding(margin),
                self.exploding(&margin),
            ),
        ];
        for (warning, verdict) in &findings {
            if *verdict == Verdict::Recovered {
                self.forget(warning.kind());
            }
        }
        findings
            .into_iter()
            .filter(|(_, verdict)| *verdict == Verdict::Raised)
            .find_map(|(warning, _)| self.once(warning))
    }

    fn push(&mut self, step: usize, stats: &PreferenceStats) {
        let kept = self
            .observations
            .partition_point(|earlier| earlier.step < step);
        self.observations.truncate(kept);
        if self.observations.len() == self.config.window {
            self.observations.pop_front();
        }
        self.observations.push_back(Observation {
            step,
            levels: Levels {
                chosen_reward: stats.chosen_reward,
                chosen_log_prob: stats.chosen_log_prob.unwrap_or_default(),
                margin: stats.margin,
            },
        });
    }

    fn points(&self, level: impl Fn(&Levels<f64>) -> f64) -> Vec<(f64, f64)> {
        self.observations
            .iter()
            .map(|observation| (observation.step as f64, level(&observation.levels)))
            .collect()
    }

    fn trend(&self, line: &Line, start: f64) -> Trend {
        let step = |observation: Option<&Observation>| observation.map_or(0, |at| at.step);
        Trend {
            start,
            current: line.last,
            slope: line.slope,
            slope_error: line.slope_error,
            first_step: step(self.observations.front()),
            last_step: step(self.observations.back()),
        }
    }

    fn falling(&self, trend: &Trend, fall: f64, slope: f64) -> Verdict {
        let unlikely_above = trend.slope + self.config.confidence * trend.slope_error;
        if trend.current >= trend.start - 0.5 * fall {
            Verdict::Recovered
        } else if trend.current < trend.start - fall && trend.slope < -slope && unlikely_above < 0.0
        {
            Verdict::Raised
        } else {
            Verdict::Unchanged
        }
    }

    fn inverted(&self, margin: &Line) -> Verdict {
        let unlikely_above = margin.mean + self.config.confidence * margin.mean_error;
        if margin.mean >= 0.0 {
            Verdict::Recovered
        } else if margin.mean < -self.config.rejected_lead && unlikely_above < 0.0 {
            Verdict::Raised
        } else {
            Verdict::Unchanged
        }
    }

    fn exploding(&self, margin: &Trend) -> Verdict {
        let unlikely_below = margin.slope - self.config.confidence * margin.slope_error;
        if margin.current <= 0.5 * self.config.margin {
            Verdict::Recovered
        } else if margin.current > self.config.margin && unlikely_below > 0.0 {
            Verdict::Raised
        } else {
            Verdict::Unchanged
        }
    }

    fn once(&mut self, warning: CollapseWarning) -> Option<CollapseWarning> {
        let kind = warning.kind();
        if self.warned.contains(&kind) {
            return None;
        }
        self.warned.push(kind);
        Some(warning)
    }

    fn forget(&mut self, kind: CollapseKind) {
        self.warned.retain(|warned| *warned != kind);
    }
}

fn non_finite(stats: &PreferenceStats) -> Option<Statistic> {
    [
        (Statistic::Loss, stats.loss),
        (Statistic::ChosenReward, stats.chosen_reward),
        (Statistic::RejectedReward, stats.rejected_reward),
        (Statistic::Margin, stats.margin),
        (
            Statistic::ChosenLogProb,
            stats.chosen_log_prob.unwrap_or_default(),
        ),
        (
            Statistic::RejectedLogProb,
            stats.rejected_log_prob.unwrap_or_default(),
        ),
        (Statistic::Kl, stats.kl.unwrap_or_default()),
    ]
    .into_iter()
    .find(|(_, value)| !value.is_finite())
    .map(|(statistic, _)| statistic)
}
