//! Settings of tree construction.

use chat_model::Sampling;
use serde::{Deserialize, Serialize};
use ultrainteract::Schema;

use crate::{Error, Result};

/// Settings of a [`TreeBuilder`](crate::TreeBuilder). Unknown fields in a file are an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SynthConfig {
    /// The most actions that the actor draws at a turn. Default 20.
    pub samples_per_turn: usize,
    /// How many of them are drawn at a time. A turn that has a correct and an incorrect action draws no more: a pair needs
    /// one of each, and where both are common the first round is enough. Default all at once.
    pub samples_per_round: Option<usize>,
    /// Actions that each stronger actor draws where nothing correct was found. Default 5.
    pub stronger_samples: usize,
    /// Actions drawn from an actor of incorrect actions where everything was correct. Default 5.
    pub incorrect_samples: usize,
    /// The schemas that each action draws one of; with [`Prompts`](crate::Prompts) only, which put it into words. Default
    /// none: the actor chooses how it reasons.
    pub schemas: Vec<Schema>,
    /// The most turns of a tree. Default 5.
    pub max_turns: usize,
    /// How actions are drawn; its seed is replaced. Default temperature 1, at most 512 tokens.
    pub sampling: Sampling,
    /// Seed of everything that is drawn. Default 0.
    pub seed: u64,
    /// When an annotated solution is worked into a correct action, or stands in for one. Default `last_turn`.
    pub fallback: Fallback,
    /// How often a teacher may try to write a correct action with the annotated solution before its eyes. Default 2.
    pub elicitations: usize,
    /// How many trees are built at the same time. It does not change them; a model in this process computes what they ask for
    /// together. Default 256.
    pub trees_in_flight: usize,
}

impl Default for SynthConfig {
    fn default() -> Self {
        Self {
            samples_per_turn: 20,
            samples_per_round: None,
            stronger_samples: 5,
            incorrect_samples: 5,
            schemas: Vec::new(),
            max_turns: 5,
            sampling: Sampling::default(),
            seed: 0,
            fallback: Fallback::default(),
            elicitations: 2,
            trees_in_flight: 256,
        }
    }
}

/// When an annotated solution helps a turn for which nobody found a correct action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// When the tree ends without any correct action, at its last turn.
    #[default]
    LastTurn,
    /// At every turn without a correct action, so that every turn with an incorrect one has a pair (arXiv 2404.02078,
    /// section 2.3).
    EveryTurn,
    /// Never: hard problems have no pair.
    Never,
}

impl SynthConfig {
    pub(crate) fn validate(&self) -> Result<()> {
        for (field, value) in [
            ("samples_per_turn", self.samples_per_turn),
            ("samples_per_round", self.samples_per_round.unwrap_or(1)),
            ("stronger_samples", self.stronger_samples),
            ("incorrect_samples", self.incorrect_samples),
            ("max_turns", self.max_turns),
            ("trees_in_flight", self.trees_in_flight),
        ] {
            if value == 0 {
                return Error::config(field, "is 0; it must be at least 1");
            }
        }
        match self.sampling.check() {
            Ok(()) => Ok(()),
            Err(fault) => Error::config("sampling", fault.to_string()),
        }
    }
}
