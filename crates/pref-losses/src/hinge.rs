//! Hinge loss on the reward margin.

use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::divergence::Divergence;
use crate::error::{Error, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};

/// Settings of [`Hinge`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HingeConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// The divergence that ties the policy to the reference. Default reverse KL.
    pub divergence: Divergence,
}

impl Default for HingeConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            divergence: Divergence::default(),
        }
    }
}

impl HingeConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Hinge, Error> {
        positive("hinge", "beta", self.beta)?;
        self.divergence.validate("hinge")?;
        Ok(Hinge {
            config: self.clone(),
        })
    }
}

/// Hinge loss (arXiv 2309.06657, equation 10): `max(0, 1 - beta (a - b))`, with `a`, `b` the
/// log-ratios of chosen and rejected, put through `g` of the [`Divergence`] if it is not reverse KL.
///
/// **When.** To stop at a margin instead of growing it for ever. SLiC without a reference is
/// [`Slic`](crate::Slic).
///
/// **Chosen rewards.** Nothing holds them; only the margin counts, until it reaches 1.
///
/// **Pitfalls.** Pairs whose reward margin has reached 1 no longer pull at all, so the gradient of a
/// batch shrinks as training goes on. At the kink the gradient is 0.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{HingeConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let zero = Tensor::<1>::zeros([2], &device);
/// let output = HingeConfig { beta: 0.1, ..HingeConfig::default() }.init()?.forward(PairLogProbs {
///     policy_chosen: Tensor::from_floats([0.0, 20.0], &device),
///     policy_rejected: zero.clone(),
///     reference_chosen: zero.clone(),
///     reference_rejected: zero,
/// });
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// assert_eq!(losses, [1.0, 0.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Hinge {
    config: HingeConfig,
}

impl Hinge {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.config.beta);
        let difference = self.config.divergence.difference(ratios);
        let logits = difference.mul_scalar(self.config.beta);
        PairOutput::new(relu(logits.neg().add_scalar(1.0)), rewards)
    }
}

impl PairLoss for Hinge {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}
