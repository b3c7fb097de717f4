//! Identity preference optimisation.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, positive};
use crate::pairs::{LogRatios, PairLengths, PairLogProbs, PairOutput};

/// Settings of [`Ipo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IpoConfig {
    /// Strength of the tie to the reference (the paper's tau), above 0. Default 0.1.
    pub beta: f64,
}

impl Default for IpoConfig {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl IpoConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the strength of the tie to the reference.
    pub fn with_beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `beta` is not above 0.
    pub fn init(&self) -> Result<Ipo, Error> {
        positive("ipo", "beta", self.beta)?;
        Ok(Ipo { beta: self.beta })
    }
}

/// Identity preference optimisation (arXiv 2310.12036, equation 17): `(a - b - 1/(2 beta))^2`,
/// with `a`, `b` the log-ratios of chosen and rejected.
///
/// The margin is pulled to `1/(2 beta)` and not beyond. Published code differs in whether `a` and
/// `b` are sums or means over tokens: [`forward`](Ipo::forward) takes sums,
/// [`forward_per_token`](Ipo::forward_per_token) divides by the lengths.
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
/// let output = IpoConfig::new().with_beta(0.1).init()?.forward(PairLogProbs {
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
    beta: f64,
}

impl Ipo {
    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        PairOutput::new(self.losses(ratios), rewards)
    }

    /// The same with each log-ratio divided by its response's number of tokens. Rewards stay sums.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward_per_token(&self, log_probs: PairLogProbs, lengths: PairLengths) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        PairOutput::new(self.losses(ratios.per_token(lengths)), rewards)
    }

    fn losses(&self, ratios: LogRatios) -> Tensor<1> {
        let distance = ratios.difference().sub_scalar(0.5 / self.beta);
        distance.clone() * distance
    }
}
