//! Sequence likelihood calibration.

use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, not_negative, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};

/// Settings of [`Slic`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlicConfig {
    /// The margin in nats at which a pair stops pulling (the paper's delta, beta in HALOs), above
    /// 0. Default 1.
    pub threshold: f64,
    /// Weight of the SFT term (the paper's lambda), at least 0. Default 0.1.
    pub sft_weight: f64,
}

impl Default for SlicConfig {
    fn default() -> Self {
        Self {
            threshold: 1.0,
            sft_weight: 0.1,
        }
    }
}

impl SlicConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Slic, Error> {
        positive("slic", "threshold", self.threshold)?;
        not_negative("slic", "sft_weight", self.sft_weight)?;
        Ok(Slic {
            threshold: self.threshold,
            sft_weight: self.sft_weight,
        })
    }
}

/// Sequence likelihood calibration (SLiC-HF, arXiv 2305.10425, as in HALOs of February 2024):
/// `max(0, threshold - policy_chosen + policy_rejected) - sft_weight policy_chosen`.
///
/// The SFT term is taken on the chosen responses and summed over their tokens. The reference is
/// ignored: zeros may be passed for it. Rewards that are reported are the log-probs themselves.
///
/// **When.** To train without a reference model, with a margin in plain nats. The form with a
/// reference is [`Hinge`](crate::Hinge).
///
/// **Chosen rewards.** Raised, by the SFT term.
///
/// **Pitfalls.** The threshold is not scaled by a beta. Sums favour short responses and let long ones
/// dominate the SFT term. At the kink the gradient is that of the SFT term alone.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{PairLogProbs, SlicConfig};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let slic = SlicConfig { threshold: 1.0, sft_weight: 0.5 }.init()?;
/// let output = slic.forward(PairLogProbs::without_reference(
///     Tensor::from_floats([-4.0, -4.0], &device),
///     Tensor::from_floats([-4.0, -9.0], &device),
/// ));
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// assert_eq!(losses, [3.0, 2.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Slic {
    threshold: f64,
    sft_weight: f64,
}

impl Slic {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the two tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let values = log_probs.policy();
        let rewards = values.rewards(1.0);
        let sft = values.chosen.clone().mul_scalar(self.sft_weight);
        let short_of = values.difference().neg().add_scalar(self.threshold);
        PairOutput::new(relu(short_of) - sft, rewards)
    }
}

impl PairLoss for Slic {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}
