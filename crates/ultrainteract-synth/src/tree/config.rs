//! Settings of tree construction.

use chat_model::Sampling;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Settings of a [`TreeBuilder`](crate::TreeBuilder). Unknown fields in a file are an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SynthConfig {
    /// Actions drawn per problem and turn; divided among the actors or drawn from each, see
    /// [`ActorPlan`]. Default 20.
    pub samples_per_turn: usize,
    /// How many of an actor's actions are drawn at a time. A problem that has a correct and an
    /// incorrect action at this turn is asked for no more: a pair needs one of each, and where both
    /// are common the first round is enough. Default all at once.
    pub samples_per_round: Option<usize>,
    /// The most turns of a tree. Default 5.
    pub max_turns: usize,
    /// How actions are drawn; its seed is replaced. Default temperature 1, at most 512 tokens.
    pub sampling: Sampling,
    /// Seed of everything that is drawn. Default 0.
    pub seed: u64,
    /// When the annotated solution stands in for a correct action. Default `last_turn`.
    pub fallback: Fallback,
    /// How several actors share the work. Default `share`.
    pub actors: ActorPlan,
    /// System message of the actors. Default none.
    pub system: Option<String>,
    /// How many problems are sampled in one batch. After each batch the store is written, so with a
    /// paid model this is what a kill can lose; a local model wants it large. It does not change the
    /// trees. Default all at once.
    pub problems_per_batch: Option<usize>,
}

impl Default for SynthConfig {
    fn default() -> Self {
        Self {
            samples_per_turn: 20,
            samples_per_round: None,
            max_turns: 5,
            sampling: Sampling::default(),
            seed: 0,
            fallback: Fallback::default(),
            actors: ActorPlan::default(),
            system: None,
            problems_per_batch: None,
        }
    }
}

/// When the annotated solution stands in for a correct action that nobody found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// When the tree ends without any correct action, at its last turn.
    #[default]
    LastTurn,
    /// At every turn without a correct action, so that every turn with an incorrect one has a pair.
    EveryTurn,
    /// Never: hard problems have no pair.
    Never,
}

/// How several actors share the work of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorPlan {
    /// The samples are divided among the actors as evenly as possible, the first ones getting more.
    #[default]
    Share,
    /// The first actor draws all samples; each further one draws as many for the problems for which
    /// no correct action was found at this turn. Put cheap actors first and strong ones last.
    Escalate,
}

impl SynthConfig {
    pub(super) fn validate(&self) -> Result<()> {
        for (field, value) in [
            ("samples_per_turn", self.samples_per_turn),
            ("samples_per_round", self.samples_per_round.unwrap_or(1)),
            ("max_turns", self.max_turns),
            ("problems_per_batch", self.problems_per_batch.unwrap_or(1)),
            ("sampling.max_tokens", self.sampling.max_tokens),
        ] {
            if value == 0 {
                return Error::config(field, "is 0; it must be at least 1");
            }
        }
        let sampling = &self.sampling;
        if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
            return Error::config("sampling.temperature", "must be 0 or more");
        }
        if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
            return Error::config("sampling.top_p", "must be above 0 and at most 1");
        }
        Ok(())
    }
}
