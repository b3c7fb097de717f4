//! Odds-ratio preference optimisation.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, not_negative, positive};
use crate::loss::PairLoss;
use crate::pairs::{PairLengths, PairLogProbs, PairOutput};
use crate::stable::{exp_m1, negative_log_sigmoid, with_slope};

/// Settings of [`Orpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrpoConfig {
    /// Weight of the odds-ratio term (the paper's lambda), above 0. Default 0.1.
    pub beta: f64,
    /// Weight of the SFT term on the chosen response, at least 0. Default 1, as in the paper and in
    /// HALOs; 0 where the caller adds one of its own, as TRL does.
    pub sft_weight: f64,
}

impl Default for OrpoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            sft_weight: 1.0,
        }
    }
}

impl OrpoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Orpo, Error> {
        positive("orpo", "beta", self.beta)?;
        not_negative("orpo", "sft_weight", self.sft_weight)?;
        Ok(Orpo {
            beta: self.beta,
            sft_weight: self.sft_weight,
        })
    }
}

/// Odds-ratio preference optimisation (arXiv 2403.07691, equations 6 and 7):
/// `-sft_weight p_c + beta L(logodds(p_c) - logodds(p_r))`, with `p` the log-prob per token of a
/// response, `logodds(p) = p - log(1 - exp(p))` and `L(x) = -log s(x)`.
///
/// Published code differs in the SFT term. The paper and HALOs take each response's own mean: the
/// default. TRL takes the mean over the tokens of the batch, prompts included: set `sft_weight` to 0
/// and add [`cross_entropy`](crate::log_probs::cross_entropy) of those tokens.
///
/// The reference is ignored: zeros may be passed for it. Rewards that are reported are `beta p`, as
/// in TRL; [`log_odds`] gives what HALOs reports.
///
/// **When.** Instead of SFT followed by preference learning, in one stage, from a base model.
///
/// **Chosen rewards.** Raised, by the SFT term.
///
/// **Pitfalls.** Near `p = 0` (a response that is nearly certain) the gradient grows as `1/p`. It is
/// computed without loss of digits down to `p = -1e-30`; beyond, odds are those of -1e-30.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{OrpoConfig, PairLengths, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let orpo = OrpoConfig { beta: 0.1, sft_weight: 0.0 }.init()?;
/// let output = orpo.forward(
///     PairLogProbs::without_reference(
///         Tensor::from_floats([-8.0], &device),
///         Tensor::from_floats([-8.0], &device),
///     ),
///     PairLengths {
///         chosen: Tensor::from_floats([4.0], &device),
///         rejected: Tensor::from_floats([4.0], &device),
///     },
/// );
/// // Equal odds: beta ln 2.
/// let loss = output.losses.into_scalar::<f32>();
/// assert!((loss - 0.1 * std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Orpo {
    beta: f64,
    sft_weight: f64,
}

impl Orpo {
    /// One loss per pair, from log-probs summed over each response and the responses' lengths.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs, lengths: PairLengths) -> PairOutput {
        let means = log_probs.policy().per_token(lengths);
        let rewards = means.rewards(self.beta);
        let odds_ratio = means.map(|mean| log_odds(mean.clone())).difference();
        let mut losses = negative_log_sigmoid(odds_ratio).mul_scalar(self.beta);
        if self.sft_weight > 0.0 {
            losses = losses - means.chosen.mul_scalar(self.sft_weight);
        }
        PairOutput::new(losses, rewards)
    }
}

impl PairLoss for Orpo {
    fn needs(&self) -> Needs {
        Needs {
            lengths: true,
            ..Needs::default()
        }
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs, context.lengths("orpo")?))
    }
}

/// `log(p / (1 - p))` from `log p`, value and gradient exact to rounding for `log p` from -1e4 to
/// -1e-30; larger ones (`log p` must be below 0) count as -1e-30. f32 whatever the input.
///
/// # Shapes
///
/// - log_prob: any
/// - output: as log_prob, f32
pub fn log_odds<const D: usize>(log_prob: Tensor<D>) -> Tensor<D> {
    let log_prob = log_prob.cast(DType::F32);
    let at = log_prob.clone().detach().clamp_max(-1e-30);
    let complement = exp_m1(at.clone()).neg();
    let value = at - complement.clone().log();
    with_slope(value, log_prob, complement.recip())
}
