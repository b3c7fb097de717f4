//! Self-play preference optimisation with hard labels.

use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};

/// Settings of [`Sppo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SppoConfig {
    /// Strength of the tie to the reference (one over the paper's eta), above 0. Default 0.1.
    pub beta: f64,
}

impl Default for SppoConfig {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl SppoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `beta` is not above 0.
    pub fn init(&self) -> Result<Sppo, Error> {
        positive("sppo", "beta", self.beta)?;
        Ok(Sppo { beta: self.beta })
    }
}

/// Self-play preference optimisation with hard labels (arXiv 2405.00675, equation 4.7 with win
/// rates of 1 and 0): `(a - 1/(2 beta))^2 + (b + 1/(2 beta))^2`, with `a`, `b` the log-ratios of
/// chosen and rejected.
///
/// **When.** Iteratively: the reference is the policy of the round before, and responses are its
/// own.
///
/// **Chosen rewards.** Raised to 1/2, and rejected ones lowered to -1/2; each on its own.
///
/// **Pitfalls.** It is a regression: a response of thousands of tokens that is far from its target
/// outweighs the batch. Losses are large numbers (`1/(2 beta^2)` at the reference: 50 at the
/// default), so learning rates of DPO are too high.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{PairLogProbs, SppoConfig};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let zero = Tensor::<1>::zeros([1], &device);
/// let output = SppoConfig { beta: 0.1 }.init()?.forward(PairLogProbs {
///     policy_chosen: Tensor::from_floats([5.0], &device),
///     policy_rejected: Tensor::from_floats([-5.0], &device),
///     reference_chosen: zero.clone(),
///     reference_rejected: zero,
/// });
/// assert!(output.losses.into_scalar::<f32>().abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sppo {
    beta: f64,
}

impl Sppo {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        let target = 0.5 / self.beta;
        let above = ratios.chosen.sub_scalar(target);
        let below = ratios.rejected.add_scalar(target);
        PairOutput::new(above.clone() * above + below.clone() * below, rewards)
    }
}

impl PairLoss for Sppo {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}
