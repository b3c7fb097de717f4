//! DiscoPOP, the loss that a language model proposed.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::divergence::Divergence;
use crate::error::{Error, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};
use crate::stable::{negative_log_sigmoid, sigmoid, with_slope};

/// Settings of [`Discopop`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscopopConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Width of the step between the two parts, above 0. Default 0.05.
    pub tau: f64,
    /// The divergence that ties the policy to the reference. Default reverse KL.
    pub divergence: Divergence,
}

impl Default for DiscopopConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            tau: 0.05,
            divergence: Divergence::default(),
        }
    }
}

impl DiscopopConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Discopop, Error> {
        positive("discopop", "beta", self.beta)?;
        positive("discopop", "tau", self.tau)?;
        self.divergence.validate("discopop")?;
        Ok(Discopop {
            config: self.clone(),
        })
    }
}

/// DiscoPOP, the log-ratio modulated loss (arXiv 2406.08414, equation 5):
/// `s(-z/tau) L(z) + s(z/tau) exp(-z)`, with `z = beta (a - b)`, `a`, `b` the log-ratios of chosen
/// and rejected and `L(x) = -log s(x)`.
///
/// Logistic for pairs ranked wrong, exponential for pairs ranked right, with a step of width `tau`
/// at 0. With another [`Divergence`] `a` and `b` are put through its `g` first.
///
/// **When.** As an alternative to DPO on noisy pairs.
///
/// **Chosen rewards.** Nothing holds them: only the margin counts.
///
/// **Pitfalls.** The loss is not convex and has a local optimum at a negative margin
/// (`z` = -0.12 at the default `tau`), where pairs can get stuck. The published code overflows for
/// margins below -88; here `exp(-z)` and its weight are joined before they are raised.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{DiscopopConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let zero = Tensor::<1>::zeros([2], &device);
/// let output = DiscopopConfig { beta: 1.0, ..DiscopopConfig::default() }.init()?.forward(PairLogProbs {
///     policy_chosen: Tensor::from_floats([3.0, -1e4], &device),
///     policy_rejected: zero.clone(),
///     reference_chosen: zero.clone(),
///     reference_rejected: zero,
/// });
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// assert!((losses[0] - (-3f32).exp()).abs() < 1e-6);
/// assert_eq!(losses[1], 1e4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Discopop {
    config: DiscopopConfig,
}

impl Discopop {
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
        PairOutput::new(self.losses(logits), rewards)
    }

    fn losses(&self, logits: Tensor<1>) -> Tensor<1> {
        let tau = self.config.tau;
        let z = logits.clone().detach();
        let step = z.clone().div_scalar(tau);
        let (right, wrong) = (sigmoid(step.clone()), sigmoid(step.clone().neg()));
        let logistic = negative_log_sigmoid(z.clone());
        // `s(z/tau) exp(-z)` in one exponent: `-z + log s(z/tau)`, whose large parts are joined
        // before rounding: `-z` where z > 0, else `z/tau - z`.
        let above = z.clone().clamp_min(0.0).neg();
        let below = z.clone().clamp_max(0.0).mul_scalar(1.0 / tau - 1.0);
        let tail = step.abs().neg().exp().log1p();
        let exponential = (above + below - tail).exp();

        let value = wrong.clone() * logistic.clone() + exponential.clone();
        let slope = (wrong.clone() * exponential.clone() - right * wrong.clone() * logistic)
            .div_scalar(tau)
            - wrong * sigmoid(z.neg())
            - exponential;
        with_slope(value, logits, slope)
    }
}

impl PairLoss for Discopop {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}
