//! Efficient exact optimisation of pairs.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::divergence::Divergence;
use crate::error::{Error, check, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLogProbs, PairOutput};
use crate::stable::{log_sigmoid, with_slope};

/// Settings of [`Exo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExoConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Probability `e` that the label is wrong, above 0 (the loss is infinite at 0) and at most
    /// 0.5. Default 1e-3.
    pub label_smoothing: f64,
    /// The divergence that ties the policy to the reference. Default reverse KL.
    pub divergence: Divergence,
}

impl Default for ExoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            label_smoothing: 1e-3,
            divergence: Divergence::default(),
        }
    }
}

impl ExoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Exo, Error> {
        positive("exo", "beta", self.beta)?;
        let rate = self.label_smoothing;
        let holds = rate > 0.0 && rate <= 0.5;
        check(
            "exo",
            "label_smoothing",
            rate,
            holds,
            "above 0 and at most 0.5",
        )?;
        self.divergence.validate("exo")?;
        Ok(Exo {
            config: self.clone(),
        })
    }
}

/// Efficient exact optimisation (arXiv 2402.00856, equation 16, for pairs):
/// `s(z) (log s(z) - log(1 - e)) + s(-z) (log s(-z) - log e)`, with `z = beta (a - b)`, `a`, `b` the
/// log-ratios of chosen and rejected and `e` the probability that the label is wrong.
///
/// That is the Kullback-Leibler divergence from the smoothed label to the policy's preference,
/// `KL(policy || label)`; DPO with conservative smoothing has the two the other way round. With
/// another [`Divergence`] `a` and `b` are put through its `g` first.
///
/// **When.** To weigh pairs by what the policy itself prefers (mode-seeking) rather than by the
/// labels.
///
/// **Chosen rewards.** Nothing holds them: only the margin counts. It is pulled to
/// `z = log((1 - e) / e)`.
///
/// **Pitfalls.** Pairs that the policy ranks wrong with confidence pull with
/// `s(z) s(-z) (z - log((1 - e) / e))`, which vanishes: the loss does not recover them. With the
/// default `e` the optimal margin is 6.9.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{ExoConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let exo = ExoConfig { beta: 1.0, label_smoothing: 0.25, ..ExoConfig::default() }.init()?;
/// let zero = Tensor::<1>::zeros([1], &device);
/// let output = exo.forward(PairLogProbs {
///     // The margin at which the policy's preference is the label's: log(0.75 / 0.25).
///     policy_chosen: Tensor::from_floats([3f32.ln()], &device),
///     policy_rejected: zero.clone(),
///     reference_chosen: zero.clone(),
///     reference_rejected: zero,
/// });
/// assert!(output.losses.into_scalar::<f32>().abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Exo {
    config: ExoConfig,
}

impl Exo {
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
        let rate = self.config.label_smoothing;
        let at = logits.clone().detach();
        let (log_wins, log_loses) = (log_sigmoid(at.clone()), log_sigmoid(at.clone().neg()));
        let (wins, loses) = (log_wins.clone().exp(), log_loses.clone().exp());
        let value = wins.clone() * log_wins.sub_scalar((1.0 - rate).ln())
            + loses.clone() * log_loses.sub_scalar(rate.ln());
        let optimum = (1.0 - rate).ln() - rate.ln();
        let slope = wins * loses * at.sub_scalar(optimum);
        with_slope(value, logits, slope)
    }
}

impl PairLoss for Exo {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}
