//! What a trainer adds to the loop that all of them share.

use pref_losses::PreferenceStats;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::events::{Event, StepProgress};
use crate::optimizer::StepOptimizer;
use crate::precision::Weights;
use crate::{Error, Ranks, Result};

/// What a trainer does with a rank's trees of one step.
#[derive(Serialize, Deserialize)]
pub(crate) struct StepOutcome<S> {
    /// The trees' part of the step's mean loss.
    pub loss: f64,
    pub unique_tokens: usize,
    pub naive_tokens: usize,
    /// Forests that the unique tokens were packed into.
    pub forests: usize,
    /// What is not finite, if the loss is not.
    pub not_finite: Vec<String>,
    /// What the trainer reports besides.
    pub stats: S,
}

/// What a trainer reports of a step besides its loss.
pub(crate) trait StepStats: Serialize + DeserializeOwned {
    /// The numbers of two parts of a step as one.
    fn merge(self, other: Self) -> Self;
}

impl StepStats for PreferenceStats {
    fn merge(self, other: Self) -> Self {
        self.merge(other)
    }
}

impl<S: StepStats> StepOutcome<S> {
    fn merge(mut self, other: Self) -> Self {
        self.not_finite.extend(other.not_finite);
        Self {
            loss: self.loss + other.loss,
            unique_tokens: self.unique_tokens + other.unique_tokens,
            naive_tokens: self.naive_tokens + other.naive_tokens,
            forests: self.forests + other.forests,
            not_finite: self.not_finite,
            stats: self.stats.merge(other.stats),
        }
    }

    /// The whole step from what each rank did of it.
    pub(super) fn of_ranks(ranks: &Ranks, mine: Result<Self>) -> Result<Self> {
        let parts = ranks.all_gather(mine)?.into_iter();
        parts
            .reduce(Self::merge)
            .ok_or_else(|| Error::lost("no rank took part in a step"))
    }
}

/// The trees of a step that a rank computes.
pub(crate) struct StepTrees<'a> {
    /// From 0.
    pub step: usize,
    /// By index.
    pub members: &'a [usize],
}

/// What a trainer adds to the loop that all of them share.
pub(crate) trait Objective<M> {
    /// What it reports of a step.
    type Stats: StepStats;

    /// Adds the gradients of this rank's trees of a step to the optimizer.
    fn compute(
        &mut self,
        model: &M,
        trees: StepTrees<'_>,
        optimizer: &mut StepOptimizer,
    ) -> Result<StepOutcome<Self::Stats>>;

    /// Tells of a step that was taken, and takes in what the next steps depend on.
    fn report(
        &mut self,
        progress: StepProgress,
        stats: Self::Stats,
        on_event: &mut dyn FnMut(&Event),
    );

    /// Sees the weights after a step, counted from 1.
    fn updated(&mut self, _step: usize, _weights: &Weights<M>) -> Result<()> {
        Ok(())
    }

    /// What it remembers from step to step, for a snapshot.
    fn memory(&self) -> Memory<'_, M> {
        Memory::default()
    }

    /// Takes back what it remembered.
    fn recall(&mut self, _state: Value, _model: Option<M>) -> serde_json::Result<()> {
        Ok(())
    }
}

/// What an objective remembers from step to step.
pub(crate) struct Memory<'a, M> {
    pub state: Value,
    /// Weights besides those that are trained.
    pub model: Option<&'a M>,
}

impl<M> Default for Memory<'_, M> {
    fn default() -> Self {
        Self {
            state: Value::Null,
            model: None,
        }
    }
}
