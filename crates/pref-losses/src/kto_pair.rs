//! The paired precursor of KTO, whose KL estimates come from the batch itself.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};
use crate::stable::sigmoid;

/// Settings of [`KtoPair`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KtoPairConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
}

impl Default for KtoPairConfig {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl KtoPairConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `beta` is not above 0.
    pub fn init(&self) -> Result<KtoPair, Error> {
        positive("kto_pair", "beta", self.beta)?;
        Ok(KtoPair { beta: self.beta })
    }
}

/// KTO on pairs as its early report had it (before arXiv 2402.01306; TRL 0.8, HALOs of February
/// 2024): with `a`, `b` the log-ratios of chosen and rejected, `K_c = max(0, mean a)` and
/// `K_r = max(0, mean b)` over the batch, the mean of `s(-beta (a - K_r))` and `s(-beta (K_c - b))`.
///
/// The KL estimates are those of the *other* kind of response, and **the gradient flows through
/// them**, unlike in [`Kto`](crate::Kto).
///
/// **When.** To compare with results of that time; else take [`Kto`](crate::Kto).
///
/// **Chosen rewards.** Raised above the rejected ones' mean, and held less than by KTO, since the
/// reference points move with the policy.
///
/// **Pitfalls.** The loss of a pair depends on its batch, so splitting a step into micro-batches
/// changes it. It has no weights for the two kinds.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{KtoPairConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let log_probs = Tensor::<1>::from_floats([-10.0, -20.0], &device);
/// let output = KtoPairConfig { beta: 0.1 }.init()?.forward(PairLogProbs {
///     policy_chosen: log_probs.clone(),
///     policy_rejected: log_probs.clone(),
///     reference_chosen: log_probs.clone(),
///     reference_rejected: log_probs,
/// });
/// assert_eq!(output.losses.mean().into_scalar::<f32>(), 0.5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KtoPair {
    beta: f64,
}

impl KtoPair {
    /// One loss per pair (the mean of its two responses' losses), from log-probs summed over each
    /// response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        if ratios.len() == 0 {
            return PairOutput::new(ratios.difference(), rewards);
        }
        let estimates = ratios.map(|ratio| ratio.clone().mean().clamp_min(0.0));
        let chosen = self.saturated(ratios.chosen - estimates.rejected);
        let rejected = self.saturated(estimates.chosen - ratios.rejected);
        PairOutput::new((chosen + rejected).mul_scalar(0.5), rewards)
    }

    fn saturated(&self, gain: Tensor<1>) -> Tensor<1> {
        sigmoid(gain.mul_scalar(-self.beta))
    }
}

impl PairLoss for KtoPair {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}
