//! Noise-contrastive alignment of pairs.

use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};
use crate::stable::negative_log_sigmoid;

/// Settings of [`Nca`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NcaConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
}

impl Default for NcaConfig {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl NcaConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `beta` is not above 0.
    pub fn init(&self) -> Result<Nca, Error> {
        positive("nca", "beta", self.beta)?;
        Ok(Nca { beta: self.beta })
    }
}

/// Noise-contrastive alignment of pairs (arXiv 2402.05369, Section 5.2):
/// `L(r_c) + L(-r_c)/2 + L(-r_r)/2`, with `r = beta (policy - reference)` and `L(x) = -log s(x)`.
///
/// **When.** On reasoning data, where DPO lets chosen rewards fall; Eurus found it to train as stably
/// as KTO (arXiv 2404.02078, Section 5.1).
///
/// **Chosen rewards.** It judges each response by its own reward and not by the margin alone, so the
/// chosen reward is raised to an optimum (`r_c = ln 2`) instead of drifting.
///
/// **Pitfalls.** Pairs never stop pulling the rejected reward down, if ever less. At the reference the
/// loss is `2 ln 2`, not DPO's `ln 2`. For K responses with scalar rewards see [`NcaK`](crate::NcaK);
/// InfoNCA on a pair is [`Dpo`](crate::Dpo).
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{NcaConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let log_probs = Tensor::<1>::from_floats([-10.0], &device);
/// let output = NcaConfig { beta: 0.1 }.init()?.forward(PairLogProbs {
///     policy_chosen: log_probs.clone(),
///     policy_rejected: log_probs.clone(),
///     reference_chosen: log_probs.clone(),
///     reference_rejected: log_probs,
/// });
/// let loss = output.losses.into_scalar::<f32>();
/// assert!((loss - 2.0 * std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Nca {
    beta: f64,
}

impl Nca {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        let chosen = ratios.chosen.mul_scalar(self.beta);
        let rejected = ratios.rejected.mul_scalar(self.beta);
        let noise =
            negative_log_sigmoid(chosen.clone().neg()) + negative_log_sigmoid(rejected.neg());
        let losses = negative_log_sigmoid(chosen) + noise.mul_scalar(0.5);
        PairOutput::new(losses, rewards)
    }
}

impl PairLoss for Nca {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}
