//! Weighted preference optimisation: pairs count by how likely the policy itself would write them.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::config::PreferenceLossConfig;
use crate::context::{Needs, PairContext};
use crate::dpo::DpoConfig;
use crate::error::{Error, positive};
use crate::kto::KlEstimate;
use crate::loss::{PairLoss, PreferenceLoss};
use crate::pairs::{PairLogProbs, PairOutput, assert_len};

/// Settings of [`Wpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WpoConfig {
    /// Largest weight of a pair, above 0; none by default, as in TRL. The authors' code has 1.
    pub cap: Option<f64>,
    /// The loss that is weighted. Default [`Dpo`](crate::Dpo).
    pub loss: Box<PreferenceLossConfig>,
}

impl Default for WpoConfig {
    fn default() -> Self {
        Self {
            cap: None,
            loss: Box::new(PreferenceLossConfig::Dpo(DpoConfig::default())),
        }
    }
}

impl WpoConfig {
    /// Makes the weighted loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when the cap is not above 0 or the loss has a number outside its range,
    /// and [`Error::NotPerPair`] when its losses do not belong to one pair each.
    pub fn init(&self) -> Result<Wpo, Error> {
        if let Some(cap) = self.cap {
            positive("wpo", "cap", cap)?;
        }
        let loss = self.loss.init()?;
        match loss.is_per_pair() {
            true => Ok(Wpo {
                cap: self.cap,
                loss,
            }),
            false => Err(Error::NotPerPair { weighting: "wpo" }),
        }
    }
}

/// Logarithms of the weights of the two responses of each pair, from
/// [`log_weights`](crate::log_probs::log_weights) or
/// [`log_weights_by_segment`](crate::log_probs::log_weights_by_segment). Never with gradient.
///
/// # Shapes
///
/// Both: `[pairs]`.
#[derive(Debug, Clone)]
pub struct PairLogWeights {
    /// `log w(chosen)`.
    pub chosen: Tensor<1>,
    /// `log w(rejected)`.
    pub rejected: Tensor<1>,
}

/// The weighting of WPO (arXiv 2406.11827, equation 2), for any loss over pairs.
///
/// With `p(v)` the policy's distribution at a token's position and `p_t` the log-prob of the token,
/// the weight of a response `y` of `n` tokens is
///
/// `w(y) = exp(1/n sum_t (p_t - log sum_v p(v)^2))`
///
/// and the loss of a pair becomes `w(chosen) w(rejected)` times what it was, the weights being
/// constants. `sum_v p(v)^2` is the probability that the policy expects of what it samples, so the
/// weight is about 1 for a response such as the policy writes, and small for others. With a cap it
/// is `min(cap, w(chosen) w(rejected))`. The mean over pairs divides by their number, not by the sum
/// of weights. Rewards are not weighted.
///
/// **When.** Pairs come from other models (off-policy): the weighting turns the batch towards what
/// the policy would sample.
///
/// **Chosen rewards.** Those of the loss that is weighted.
///
/// **Pitfalls.** Weights make losses and gradients smaller, by orders of magnitude on data far from
/// the policy, so learning rates do not carry over. A weight may exceed 1 (a token likelier than the
/// policy's own expectation). Very unlikely responses underflow to a weight of 0: loss and gradient
/// are then 0. [`Aot`](crate::Aot) cannot be weighted: sorting separates a pair's parts.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Int, Tensor};
/// use pref_losses::log_probs::{log_weights, token_log_probs, token_log_sum_squares};
/// use pref_losses::{PairContext, PairLogProbs, PairLogWeights, PairLoss, WpoConfig};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// // Two tokens each; the policy prefers word 0, which the chosen response has.
/// let logits = Tensor::<3>::from_floats([[[2.0, 0.0, 0.0]; 2]], &device);
/// let mask = Tensor::<2, Bool>::from_data([[true, true]], &device);
/// let response = |words: [i32; 2]| {
///     let words = Tensor::<2, Int>::from_data([words], &device);
///     let log_probs = token_log_probs(logits.clone(), words);
///     let weights = log_weights(
///         log_probs.clone(),
///         token_log_sum_squares(logits.clone()),
///         mask.clone(),
///     );
///     (log_probs.sum(), weights)
/// };
/// let (policy_chosen, chosen) = response([0, 0]);
/// let (policy_rejected, rejected) = response([1, 2]);
/// assert!(chosen.clone().into_scalar::<f32>() > 0.0);
/// assert!(rejected.clone().into_scalar::<f32>() < 0.0);
///
/// let log_probs = PairLogProbs {
///     reference_chosen: policy_chosen.clone(),
///     reference_rejected: policy_rejected.clone(),
///     policy_chosen,
///     policy_rejected,
/// };
/// let weights = PairLogWeights { chosen, rejected };
/// let wpo = WpoConfig::default().init()?; // of DPO
/// let weight = wpo.weights(&weights).into_scalar::<f32>();
/// let context = PairContext { log_weights: Some(weights), ..PairContext::default() };
/// let output = wpo.forward(log_probs, &context)?;
/// let loss = output.losses.into_scalar::<f32>();
/// assert!((loss - weight * std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Wpo {
    cap: Option<f64>,
    loss: PreferenceLoss,
}

impl Wpo {
    /// The weight of each pair, `[pairs]`, f32 and without gradient.
    ///
    /// # Panics
    ///
    /// If the two differ in length.
    pub fn weights(&self, log_weights: &PairLogWeights) -> Tensor<1> {
        let PairLogWeights { chosen, rejected } = log_weights.clone();
        assert_len(
            "log_weights.rejected",
            &rejected,
            "log_weights.chosen",
            chosen.dims()[0],
        );
        let joint = (chosen.cast(DType::F32) + rejected.cast(DType::F32)).detach();
        match self.cap {
            // Capped before it is raised: it cannot overflow then.
            Some(cap) => joint.clamp_max(cap.ln()).exp(),
            None => joint.exp(),
        }
    }
}

impl PairLoss for Wpo {
    fn needs(&self) -> Needs {
        Needs {
            log_weights: true,
            ..self.loss.needs()
        }
    }

    fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        self.loss.kl(policy, reference)
    }

    fn wanted_kl(&self) -> Option<KlEstimate> {
        self.loss.wanted_kl()
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        let log_weights = context.log_weights("wpo")?;
        let pairs = log_probs.len();
        assert_len(
            "log_weights.chosen",
            &log_weights.chosen,
            "policy_chosen",
            pairs,
        );
        let output = self.loss.forward(log_probs, context)?;
        Ok(PairOutput {
            losses: output.losses * self.weights(&log_weights),
            ..output
        })
    }
}
