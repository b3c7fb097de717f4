//! What the trainer asks of a loss.

use burn::tensor::Tensor;
use pref_losses::{Needs, PairStats};
use token_forest::{Group, LabelKind};

use crate::Result;
use crate::events::{Event, StepProgress};
use crate::run::StepStats;

/// What a loss over responses adds to the training loop, which is the same for all of them: a loss over
/// [pairs](pref_losses::PreferenceLoss), over [single responses](pref_losses::UnpairedLoss) or over
/// [several scored ones](pref_losses::ScoredLoss).
pub trait ResponseLoss: Clone {
    /// What is reported of a step.
    type Stats: StepStats + Copy + Default;
    /// What these are read from, on the device.
    type Sums;

    /// What groups it learns from.
    const KIND: LabelKind;

    /// What the loss looks at beside their log-probs.
    fn needs(&self) -> Needs;

    /// The KL estimate `[1]` from log-probs of mismatched completions, for losses that need one.
    fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>>;

    /// The losses of a forest's groups of one size.
    ///
    /// # Errors
    ///
    /// Those of the loss.
    fn of_forest(
        &self,
        responses: ForestResponses<'_>,
        step: &StepContext,
    ) -> Result<ForestLosses<Self::Sums>>;

    /// The sums of two forests.
    fn merge_sums(a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// The means, for which the device is waited for.
    fn read(sums: Self::Sums) -> Self::Stats;

    /// The mean loss.
    fn mean_loss(stats: &Self::Stats) -> f64;

    /// The sum of the rewards of all responses, and their number: by the mean of all steps before, a loss may be shifted.
    /// Zeros for losses that are not.
    fn rewards(stats: &Self::Stats) -> (f64, f64);

    /// What a monitor of collapsing runs should see; `None` for steps that do not have both kinds of responses.
    fn watched(stats: &Self::Stats) -> Option<PairStats>;

    /// What is told of a step.
    fn event(progress: StepProgress, stats: Self::Stats) -> Event;
}

/// The responses of a forest's groups of one size by their place in the group, `[groups]` each.
pub struct ForestResponses<'a> {
    /// Log-probs under the policy, with gradient.
    pub policy: Vec<Tensor<1>>,
    /// Log-probs under the reference.
    pub reference: Vec<Tensor<1>>,
    /// Target tokens.
    pub lengths: Vec<Tensor<1>>,
    /// The groups, whose labels say what is known of them.
    pub groups: Vec<&'a Group>,
}

/// What a loss depends on beyond the forest.
#[derive(Debug, Clone, Default)]
pub struct StepContext {
    /// The KL estimate `[1]` of the step.
    pub kl: Option<Tensor<1>>,
    /// Mean reward of the responses of all steps before.
    pub reward_shift: f64,
    /// Mean target tokens of the step's first responses.
    pub mean_first_tokens: f64,
}

/// The losses of a forest's groups.
pub struct ForestLosses<S> {
    /// `[groups]`, with gradient.
    pub losses: Tensor<1>,
    /// What statistics are read from.
    pub sums: S,
    /// What to look at if the loss is not finite, in the order in which it comes about: name and values `[groups]`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}
