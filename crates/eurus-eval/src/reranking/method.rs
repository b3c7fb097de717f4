//! The ways to choose.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the score of a candidate weighs in a vote.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VoteWeights {
    /// `exp(score / temperature)` over the sum of them for the problem's candidates: always above zero, and the same for scores
    /// that differ by a constant. A high temperature is self-consistency, a low one best-of-N.
    Softmax {
        /// The temperature, above 0.
        temperature: f64,
    },
    /// The score itself. Only for scores that are above zero: with negative ones an answer loses by every candidate that
    /// gives it.
    Score,
}

impl Default for VoteWeights {
    /// Softmax at temperature 1.
    fn default() -> Self {
        Self::Softmax { temperature: 1.0 }
    }
}

/// A way to choose among candidates, or a bound on every way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// One candidate at random: its expected accuracy, which needs no drawing.
    Random,
    /// The most frequent answer; ties go to the answer seen first.
    SelfConsistency,
    /// The candidate with the highest score; ties go to the first.
    BestOfN {
        /// Name of the scorer.
        scorer: String,
    },
    /// The answer whose candidates have the most weight; ties go to the answer seen first.
    WeightedVote {
        /// Name of the scorer.
        scorer: String,
        /// What a score weighs.
        #[serde(default)]
        weights: VoteWeights,
    },
    /// Whether any candidate is correct: what a perfect chooser would reach.
    PassAtN,
}

impl Method {
    /// Best-of-N by the named scorer.
    pub fn best_of_n(scorer: impl Into<String>) -> Self {
        Self::BestOfN {
            scorer: scorer.into(),
        }
    }

    /// Weighted vote by the named scorer, softmax weights at temperature 1.
    pub fn weighted_vote(scorer: impl Into<String>) -> Self {
        Self::WeightedVote {
            scorer: scorer.into(),
            weights: VoteWeights::default(),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => write!(f, "Random choice"),
            Self::SelfConsistency => write!(f, "Self-consistency"),
            Self::BestOfN { scorer } => write!(f, "Best-of-N, {scorer}"),
            Self::WeightedVote { scorer, weights } => {
                write!(f, "Weighted vote, {scorer}")?;
                match weights {
                    VoteWeights::Softmax { temperature: 1.0 } => Ok(()),
                    VoteWeights::Softmax { temperature } => write!(f, " at {temperature}"),
                    VoteWeights::Score => write!(f, ", raw"),
                }
            }
            Self::PassAtN => write!(f, "Pass@N"),
        }
    }
}
