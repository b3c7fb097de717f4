//! Identity preference optimisation.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::divergence::{Divergence, DivergenceConstant};
use crate::error::{Error, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLengths, PairLogProbs, PairOutput};

/// Settings of [`Ipo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpoConfig {
    /// Strength of the tie to the reference (the paper's tau), above 0. Default 0.1.
    pub beta: f64,
    /// The divergence that ties the policy to the reference. Default reverse KL.
    pub divergence: Divergence,
    /// Whether the divergence's constant is kept when normalized by length. Default kept.
    pub divergence_constant: DivergenceConstant,
    /// True to divide log-ratios by their numbers of tokens, as TRL and HALOs do. Default false.
    pub length_normalized: bool,
}

impl Default for IpoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            divergence: Divergence::default(),
            divergence_constant: DivergenceConstant::default(),
            length_normalized: false,
        }
    }
}

impl IpoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Ipo, Error> {
        positive("ipo", "beta", self.beta)?;
        self.divergence.validate("ipo")?;
        Ok(Ipo {
            config: self.clone(),
        })
    }
}

/// Identity preference optimisation (arXiv 2310.12036, equation 17): `(a - b - 1/(2 beta))^2`,
/// with `a`, `b` the log-ratios of chosen and rejected.
///
/// With another [`Divergence`] `a` and `b` are put through its `g` first.
///
/// **When.** Where labels are so certain that DPO would grow the margin without end.
///
/// **Chosen rewards.** Nothing holds them, but the margin is pulled to `1/(2 beta)` and not beyond.
///
/// **Pitfalls.** Published code differs in whether `a` and `b` are sums or means over tokens:
/// [`forward`](Ipo::forward) takes sums, [`forward_per_token`](Ipo::forward_per_token) divides by
/// the lengths, and betas do not carry over from one to the other. HALOs counts only the tokens
/// whose log-ratio is not 0:
/// [`changed_token_counts`](crate::log_probs::changed_token_counts) are lengths of that kind.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{IpoConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let zero = Tensor::<1>::zeros([1], &device);
/// let output = IpoConfig { beta: 0.1, ..IpoConfig::default() }.init()?.forward(PairLogProbs {
///     policy_chosen: Tensor::from_floats([5.0], &device),
///     policy_rejected: zero.clone(),
///     reference_chosen: zero.clone(),
///     reference_rejected: zero,
/// });
/// // A margin of exactly 1/(2 beta) = 5 nats.
/// assert!(output.losses.into_scalar::<f32>().abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Ipo {
    config: IpoConfig,
}

impl Ipo {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length, and if the configuration asks for length
    /// normalisation: that is [`forward_per_token`](Ipo::forward_per_token).
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        assert!(
            !self.config.length_normalized,
            "`length_normalized` is set: call `Ipo::forward_per_token`, which takes lengths"
        );
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.config.beta);
        let difference = self.config.divergence.difference(ratios);
        PairOutput::new(self.losses(difference), rewards)
    }

    /// One loss per pair, with each score divided by its response's number of tokens. Rewards stay
    /// sums.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward_per_token(&self, log_probs: PairLogProbs, lengths: PairLengths) -> PairOutput {
        let IpoConfig {
            beta,
            divergence,
            divergence_constant,
            ..
        } = self.config;
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(beta);
        let difference = divergence.difference_per_token(ratios, lengths, divergence_constant);
        PairOutput::new(self.losses(difference), rewards)
    }

    /// True when the configuration asks for length normalisation.
    pub fn is_length_normalized(&self) -> bool {
        self.config.length_normalized
    }

    fn losses(&self, difference: Tensor<1>) -> Tensor<1> {
        let distance = difference.sub_scalar(0.5 / self.config.beta);
        distance.clone() * distance
    }
}

impl PairLoss for Ipo {
    fn needs(&self) -> Needs {
        Needs {
            lengths: self.is_length_normalized(),
            ..Needs::REFERENCE
        }
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        if self.is_length_normalized() {
            let lengths = context.lengths("ipo")?;
            return Ok(self.forward_per_token(log_probs, lengths));
        }
        Ok(self.forward(log_probs))
    }
}
