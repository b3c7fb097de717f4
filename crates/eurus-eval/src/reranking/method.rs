//! The ways to choose.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A way to choose among candidates, or a bound on every way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The answer whose candidates' scores have the highest sum; ties go to the answer seen first.
    WeightedVote {
        /// Name of the scorer.
        scorer: String,
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

    /// Weighted vote by the named scorer.
    pub fn weighted_vote(scorer: impl Into<String>) -> Self {
        Self::WeightedVote {
            scorer: scorer.into(),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => write!(f, "Random choice"),
            Self::SelfConsistency => write!(f, "Self-consistency"),
            Self::BestOfN { scorer } => write!(f, "Best-of-N, {scorer}"),
            Self::WeightedVote { scorer } => write!(f, "Weighted vote, {scorer}"),
            Self::PassAtN => write!(f, "Pass@N"),
        }
    }
}
