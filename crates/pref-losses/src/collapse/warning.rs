//! Warnings of the collapse monitor.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A straight line through the last observations of a quantity, by least squares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The level that training began at: where a line through the *first* window starts, one that
    /// outliers do not move (Theil-Sen).
    pub start: f64,
    /// Where the line ends: the level now, without the noise of a single step.
    pub current: f64,
    /// Change per step.
    pub slope: f64,
    /// Standard error of the slope.
    pub slope_error: f64,
    /// First step of the window.
    pub first_step: usize,
    /// Last step of the window.
    pub last_step: usize,
}

/// The kind of collapse that a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CollapseKind {
    /// A statistic is not a finite number. Recovers with the next step that is finite.
    NonFinite,
    /// The mean chosen reward has fallen far below its start and still falls. Recovers when half
    /// of the allowed fall is made up.
    ChosenRewardFalling,
    /// The mean log-prob of chosen responses has fallen far below its start and still falls.
    /// Recovers when half of the allowed fall is made up. Sees what rewards do not: losses without
    /// a reference have no reward to fall below 0.
    ChosenLogProbFalling,
    /// The policy prefers the rejected responses: the mean margin is below 0. Recovers above 0.
    ChosenBelowRejected,
    /// The margin is large and still grows. Recovers at half of the limit.
    MarginExploding,
}

/// A warning of the monitor, with the trend that raised it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CollapseWarning {
    /// A statistic is not a finite number.
    NonFinite {
        /// The step.
        step: usize,
        /// Which one.
        statistic: Statistic,
    },
    /// [`CollapseKind::ChosenRewardFalling`], with the trend of the chosen reward.
    ChosenRewardFalling(Trend),
    /// [`CollapseKind::ChosenLogProbFalling`], with the trend of the chosen log-prob.
    ChosenLogProbFalling(Trend),
    /// [`CollapseKind::ChosenBelowRejected`], with the trend of the margin.
    ChosenBelowRejected(Trend),
    /// [`CollapseKind::MarginExploding`], with the trend of the margin.
    MarginExploding(Trend),
}

/// A field of [`PreferenceStats`](crate::PreferenceStats).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // named after the fields
pub enum Statistic {
    Loss,
    ChosenReward,
    RejectedReward,
    Margin,
    ChosenLogProb,
    RejectedLogProb,
    Kl,
}

impl CollapseWarning {
    /// The kind of the warning.
    pub fn kind(&self) -> CollapseKind {
        match self {
            Self::NonFinite { .. } => CollapseKind::NonFinite,
            Self::ChosenRewardFalling(_) => CollapseKind::ChosenRewardFalling,
            Self::ChosenLogProbFalling(_) => CollapseKind::ChosenLogProbFalling,
            Self::ChosenBelowRejected(_) => CollapseKind::ChosenBelowRejected,
            Self::MarginExploding(_) => CollapseKind::MarginExploding,
        }
    }

    /// The step that raised it.
    pub fn step(&self) -> usize {
        match self {
            Self::NonFinite { step, .. } => *step,
            Self::ChosenRewardFalling(trend)
            | Self::ChosenLogProbFalling(trend)
            | Self::ChosenBelowRejected(trend)
            | Self::MarginExploding(trend) => trend.last_step,
        }
    }

    /// The trend that raised it; `None` for a number that is not finite.
    pub fn trend(&self) -> Option<&Trend> {
        match self {
            Self::NonFinite { .. } => None,
            Self::ChosenRewardFalling(trend)
            | Self::ChosenLogProbFalling(trend)
            | Self::ChosenBelowRejected(trend)
            | Self::MarginExploding(trend) => Some(trend),
        }
    }
}

impl fmt::Display for CollapseWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: ", self.step())?;
        match self {
            Self::NonFinite { statistic, .. } => write!(
                f,
                "{statistic} is not a finite number; lower the learning rate or clip gradients, and go back to an \
                 earlier checkpoint"
            ),
            Self::ChosenRewardFalling(trend) => write!(
                f,
                "the chosen reward falls, {trend}; chosen responses are being unlearned: lower the learning rate, \
                 raise beta, add an SFT term, or take a loss that judges them by themselves (KTO, NCA)"
            ),
            Self::ChosenLogProbFalling(trend) => write!(
                f,
                "the log-prob of chosen responses falls, {trend}; they are being unlearned: lower the learning rate \
                 or add an SFT term"
            ),
            Self::ChosenBelowRejected(trend) => write!(
                f,
                "rejected responses are preferred, margin {trend}; check that the labels are not swapped and lower \
                 the learning rate"
            ),
            Self::MarginExploding(trend) => write!(
                f,
                "the margin explodes, {trend}; the loss has no more to gain from it: stop here or raise beta"
            ),
        }
    }
}

impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "from {:.3} to {:.3}, by {:+.2e} a step over steps {} to {}",
            self.start, self.current, self.slope, self.first_step, self.last_step
        )
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "the loss",
            Self::ChosenReward => "the chosen reward",
            Self::RejectedReward => "the rejected reward",
            Self::Margin => "the margin",
            Self::ChosenLogProb => "the log-prob of chosen responses",
            Self::RejectedLogProb => "the log-prob of rejected responses",
            Self::Kl => "the KL estimate",
        })
    }
}
