//! The traits of losses as trainers use them, and the types that stand for any of them.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use burn::tensor::Tensor;

use crate::context::{Needs, PairContext};
use crate::error::Error;
use crate::kto::KlEstimate;
use crate::pairs::{PairLogProbs, PairOutput};
use crate::responses::{ResponseLogProbs, ResponseOutput};
use crate::reward::RewardContext;
use crate::unpaired::{UnpairedContext, UnpairedLogProbs, UnpairedOutput};

/// A loss over pairs of responses.
///
/// A loss of one's own implements the trait of its kind and is put into the type that trainers take:
///
/// | input | trait | type |
/// | --- | --- | --- |
/// | pairs of responses | [`PairLoss`] | [`PreferenceLoss`] |
/// | responses with a verdict each | [`VerdictLoss`] | [`UnpairedLoss`] |
/// | K scored responses to a prompt | [`ScoreLoss`] | [`ScoredLoss`] |
/// | rewards of pairs | [`RewardPairLoss`] | [`RewardLoss`] |
///
/// The losses of this crate are made in no other way; the configurations only give
/// them names.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{
///     Error, Needs, PairContext, PairLogProbs, PairLoss, PairOutput, PreferenceLoss, log_sigmoid,
/// };
///
/// /// DPO with a beta of 1, where only the chosen response counts.
/// #[derive(Debug)]
/// struct ChosenAlone;
///
/// impl PairLoss for ChosenAlone {
///     fn needs(&self) -> Needs {
///         Needs::REFERENCE
///     }
///
///     fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
///         let chosen = log_probs.policy_chosen - log_probs.reference_chosen;
///         let rejected = log_probs.policy_rejected - log_probs.reference_rejected;
///         Ok(PairOutput {
///             losses: log_sigmoid(chosen.clone()).neg(),
///             chosen_rewards: chosen.detach(),
///             rejected_rewards: rejected.detach(),
///         })
///     }
/// }
///
/// # fn main() -> Result<(), Error> {
/// let loss = PreferenceLoss::new(ChosenAlone);
/// assert!(loss.needs().reference && !loss.needs().lengths);
/// let zero = Tensor::<1>::zeros([2], &Device::flex());
/// let output = loss.forward(
///     PairLogProbs {
///         policy_chosen: zero.clone(),
///         policy_rejected: zero.clone(),
///         reference_chosen: zero.clone(),
///         reference_rejected: zero,
///     },
///     &PairContext::default(),
/// )?;
/// assert_eq!(output.losses.dims(), [2]);
/// # Ok(())
/// # }
/// ```
pub trait PairLoss: Debug + Send + Sync {
    /// The inputs that [`forward`](Self::forward) looks at. Nothing else need be given to it.
    fn needs(&self) -> Needs;

    /// The KL estimate `[1]` from log-probs `[rows]` of mismatched prompts and responses, for losses
    /// that [need](Self::needs) one; `None` for the others, as it is unless said otherwise.
    fn kl(&self, _policy: Tensor<1>, _reference: Tensor<1>) -> Option<Tensor<1>> {
        None
    }

    /// How [`kl`](Self::kl) estimates, where it does: one estimate serves all terms of a
    /// [`Sum`](crate::Sum) that want the same.
    fn wanted_kl(&self) -> Option<KlEstimate> {
        None
    }

    /// True, as it is unless said otherwise, when entry `i` of the losses is that of pair `i` and may
    /// be given a weight. False where a batch is rearranged, as by [`Aot`](crate::Aot).
    fn is_per_pair(&self) -> bool {
        true
    }

    /// One loss per pair, from log-probs summed over each response, and rewards without gradient.
    ///
    /// # Errors
    ///
    /// [`Error::MissingKl`], [`Error::MissingLengths`] or [`Error::Missing`] when `context` lacks what is
    /// needed.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error>;
}

/// A loss over responses with a verdict each.
pub trait VerdictLoss: Debug + Send + Sync {
    /// The inputs that [`forward`](Self::forward) looks at. Nothing else need be given to it.
    fn needs(&self) -> Needs;

    /// The KL estimate `[1]` from log-probs `[rows]` of mismatched prompts and responses, for losses
    /// that [need](Self::needs) one; `None` for the others, as it is unless said otherwise.
    fn kl(&self, _policy: Tensor<1>, _reference: Tensor<1>) -> Option<Tensor<1>> {
        None
    }

    /// One loss per response, in input order, and rewards without gradient.
    ///
    /// # Errors
    ///
    /// [`Error::MissingKl`] when a KL estimate is needed and `context` has none.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    fn forward(
        &self,
        log_probs: UnpairedLogProbs,
        context: &UnpairedContext,
    ) -> Result<UnpairedOutput, Error>;
}

/// A loss over K scored responses to each prompt.
pub trait ScoreLoss: Debug + Send + Sync {
    /// The inputs that [`forward`](Self::forward) looks at: the reference, unless said otherwise.
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    /// One loss per prompt, and rewards without gradient.
    ///
    /// # Panics
    ///
    /// If the three tensors differ in shape.
    fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput;
}

/// A loss of reward models over pairs.
pub trait RewardPairLoss: Debug + Send + Sync {
    /// Whether [`forward`](Self::forward) looks at the distances of representations and their running
    /// mean. It does not unless said otherwise.
    fn needs_distances(&self) -> bool {
        false
    }

    /// The running mean of the distances after a step, from that before it, if there is one, and the
    /// mean over all pairs of the step. For losses that look at it.
    fn next_mean_distance(&self, _mean: Option<f64>, step_mean: f64) -> f64 {
        step_mean
    }

    /// One loss per pair.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected: rewards, `[pairs]`
    /// - output: `[pairs]`, f32
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] when `context` lacks what is needed.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        context: &RewardContext,
    ) -> Result<Tensor<1>, Error>;
}

/// A preference loss over pairs, chosen at run time: any [`PairLoss`], whose methods it has. Copies
/// share it.
#[derive(Debug, Clone)]
pub struct PreferenceLoss(Arc<dyn PairLoss>);

/// A loss over responses with a verdict, chosen at run time: any [`VerdictLoss`], whose methods it
/// has. Copies share it.
#[derive(Debug, Clone)]
pub struct UnpairedLoss(Arc<dyn VerdictLoss>);

/// A loss over K scored responses to a prompt, chosen at run time: any [`ScoreLoss`], whose methods
/// it has. Copies share it.
#[derive(Debug, Clone)]
pub struct ScoredLoss(Arc<dyn ScoreLoss>);

/// A reward-model loss over pairs, chosen at run time: any [`RewardPairLoss`], whose methods it has.
/// Copies share it.
#[derive(Debug, Clone)]
pub struct RewardLoss(Arc<dyn RewardPairLoss>);

impl PreferenceLoss {
    /// Any loss over pairs.
    pub fn new(loss: impl PairLoss + 'static) -> Self {
        Self(Arc::new(loss))
    }
}

impl UnpairedLoss {
    /// Any loss over responses with a verdict.
    pub fn new(loss: impl VerdictLoss + 'static) -> Self {
        Self(Arc::new(loss))
    }
}

impl ScoredLoss {
    /// Any loss over scored responses.
    pub fn new(loss: impl ScoreLoss + 'static) -> Self {
        Self(Arc::new(loss))
    }
}

impl RewardLoss {
    /// Any loss of reward models over pairs.
    pub fn new(loss: impl RewardPairLoss + 'static) -> Self {
        Self(Arc::new(loss))
    }
}

impl Deref for PreferenceLoss {
    type Target = dyn PairLoss;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Deref for UnpairedLoss {
    type Target = dyn VerdictLoss;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Deref for ScoredLoss {
    type Target = dyn ScoreLoss;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Deref for RewardLoss {
    type Target = dyn RewardPairLoss;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
