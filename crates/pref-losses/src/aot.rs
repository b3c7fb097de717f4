//! Alignment by optimal transport: whole distributions of rewards instead of pairs.

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, flip_rate, positive};
use crate::loss::PairLoss;
use crate::pairs::{Pair, PairLogProbs, PairOutput};
use crate::stable::smoothed_negative_log_sigmoid;

/// Which two distributions [`Aot`] compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AotPairing {
    /// Margins under the policy against margins under the reference.
    #[default]
    Paired,
    /// Log-ratios of chosen against log-ratios of rejected responses; which belongs to which prompt
    /// does not count.
    Unpaired,
}

/// Settings of [`Aot`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AotConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Assumed rate of flipped labels, 0 to 0.5. Default 0.
    pub label_smoothing: f64,
    /// Which two distributions are compared. Default paired.
    pub pairing: AotPairing,
}

impl Default for AotConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            label_smoothing: 0.0,
            pairing: AotPairing::default(),
        }
    }
}

impl AotConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Aot, Error> {
        positive("aot", "beta", self.beta)?;
        flip_rate("aot", self.label_smoothing)?;
        Ok(Aot {
            config: self.clone(),
        })
    }
}

/// Alignment by optimal transport (arXiv 2406.05882).
///
/// Two distributions over the batch are sorted, and the sorted values compared one by one: the
/// chosen side shall dominate at every quantile (first-order stochastic dominance). With `x` the
/// difference of the sorted values, `L(x) = -log s(x)` and `e` the label smoothing:
/// `(1 - e) L(beta x) + e L(-beta x)`.
///
/// - paired: `policy_chosen - policy_rejected` against `reference_chosen - reference_rejected`
/// - unpaired: the log-ratios of chosen against those of rejected responses
///
/// The gradient flows through the values, not through the order.
///
/// **When.** To shift the distribution of rewards as a whole; unpaired where chosen and rejected
/// responses have different prompts.
///
/// **Chosen rewards.** As DPO: only differences count.
///
/// **Pitfalls.** The loss of a pair depends on its batch: use large batches and the same size
/// throughout; splitting a step into micro-batches changes the loss. `losses` are in **sorted
/// order** (the lowest quantile first), rewards in input order.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{AotConfig, AotPairing, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let aot = AotConfig { pairing: AotPairing::Unpaired, ..AotConfig::default() }.init()?;
/// let zero = Tensor::<1>::zeros([3], &device);
/// let output = aot.forward(PairLogProbs {
///     policy_chosen: Tensor::from_floats([3.0, 1.0, 2.0], &device),
///     policy_rejected: Tensor::from_floats([1.0, 2.0, 3.0], &device),
///     reference_chosen: zero.clone(),
///     reference_rejected: zero,
/// });
/// // The same values on both sides: no quantile leads.
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// assert!(losses.iter().all(|loss| (loss - std::f32::consts::LN_2).abs() < 1e-6));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Aot {
    config: AotConfig,
}

impl Aot {
    /// One loss per quantile of the batch, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let AotConfig {
            beta,
            label_smoothing,
            pairing,
        } = self.config;
        let ratios = log_probs.clone().log_ratios();
        let rewards = ratios.rewards(beta);
        let difference = match pairing {
            AotPairing::Unpaired => sorted(ratios.chosen) - sorted(ratios.rejected),
            AotPairing::Paired => {
                let reference = PairLogProbs::without_reference(
                    log_probs.reference_chosen.clone(),
                    log_probs.reference_rejected.clone(),
                );
                let (leading, leading_rest) = margins(log_probs.policy());
                let (trailing, trailing_rest) = margins(reference.policy());
                (leading - trailing.detach()) + (leading_rest - trailing_rest)
            }
        };
        let losses = smoothed_negative_log_sigmoid(difference.mul_scalar(beta), label_smoothing);
        PairOutput::new(losses, rewards)
    }
}

impl PairLoss for Aot {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn is_per_pair(&self) -> bool {
        false
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs))
    }
}

/// `chosen - rejected` in ascending order, and what rounding took from each, without gradient.
///
/// Log-probs of hundreds of nats leave errors of 1e-5 in their differences. Between a policy and a
/// reference of the same pair they would cancel; here the two may belong to different pairs.
fn margins(values: Pair) -> (Tensor<1>, Tensor<1>) {
    let difference = values.clone().difference();
    let (at, chosen, rejected) = (
        difference.clone().detach(),
        values.chosen.detach(),
        values.rejected.detach(),
    );
    // Knuth's exact error of a subtraction.
    let taken = at.clone() - chosen.clone();
    let rest = (chosen - (at - taken.clone())) - (rejected + taken);
    let order = ascending(&difference);
    (difference.select(0, order.clone()), rest.select(0, order))
}

/// The values in ascending order, with gradient.
fn sorted(values: Tensor<1>) -> Tensor<1> {
    let order = ascending(&values);
    values.select(0, order)
}

fn ascending(values: &Tensor<1>) -> Tensor<1, Int> {
    values.clone().detach().argsort(0)
}
