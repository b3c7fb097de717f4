//! SimPO and AlphaPO: length-normalized and without a reference.

use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, check, flip_rate, not_negative, positive};
use crate::exponential::Exponential;
use crate::loss::PairLoss;
use crate::pairs::{PairLengths, PairLogProbs, PairOutput};
use crate::stable::smoothed_negative_log_sigmoid;

/// How the margin of [`Simpo`] is given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimpoMargin {
    /// Subtracted after beta has been applied, at least 0: the paper's gamma, `simpo_gamma` of TRL.
    Gamma(f64),
    /// Subtracted before beta is applied, at least 0: `gamma_beta_ratio` of the authors' code and
    /// of HALOs.
    GammaBetaRatio(f64),
}

/// Settings of [`Simpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimpoConfig {
    /// Scale of the rewards, above 0. Default 2; the paper takes 2 to 10.
    pub beta: f64,
    /// The margin by which the chosen reward should lead. Default gamma 0.5. Serialized as
    /// `{"gamma": 0.5}` or `{"gamma_beta_ratio": 0.3}`.
    pub margin: SimpoMargin,
    /// Assumed rate of flipped labels, 0 to 0.5. Default 0.
    pub label_smoothing: f64,
    /// Bend of AlphaPO. Default 0, which is SimPO.
    pub alpha: f64,
}

impl Default for SimpoConfig {
    fn default() -> Self {
        Self {
            beta: 2.0,
            margin: SimpoMargin::Gamma(0.5),
            label_smoothing: 0.0,
            alpha: 0.0,
        }
    }
}

impl SimpoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Simpo, Error> {
        positive("simpo", "beta", self.beta)?;
        let gamma = match self.margin {
            SimpoMargin::Gamma(gamma) => {
                not_negative("simpo", "margin.gamma", gamma)?;
                gamma
            }
            SimpoMargin::GammaBetaRatio(ratio) => {
                not_negative("simpo", "margin.gamma_beta_ratio", ratio)?;
                self.beta * ratio
            }
        };
        flip_rate("simpo", self.label_smoothing)?;
        check("simpo", "alpha", self.alpha, true, "finite")?;
        Ok(Simpo {
            beta: self.beta,
            gamma,
            label_smoothing: self.label_smoothing,
            reward: Exponential {
                rate: -self.alpha,
                cap: f64::INFINITY,
            },
        })
    }
}

/// SimPO (arXiv 2405.14734, equation 6) and its generalization AlphaPO (arXiv 2501.03884).
///
/// With `p` the log-prob per token of a response and `L(x) = -log s(x)`:
/// `L(beta (h(p_c) - h(p_r)) - gamma)`, where `h(p) = p` for SimPO and
/// `h(p) = (1 - exp(-alpha p)) / alpha` for AlphaPO; label smoothing `e` makes it
/// `(1 - e) L(x) + e L(-x)`.
///
/// The reference is ignored: zeros may be passed for it. Rewards that are reported are `beta h(p)`.
///
/// **When.** To train without a reference model, on responses of very different lengths: each token
/// counts the less the longer its response is.
///
/// **Chosen rewards.** Nothing holds them, not even a reference; they do fall. AlphaPO with a small
/// positive `alpha` makes unlikely responses count more and holds them up somewhat.
///
/// **Pitfalls.** Two conventions for the margin, see [`SimpoMargin`]. Without a reference a learning
/// rate above 1e-6 or so ruins the policy. With `alpha` above 0 the reward is exponential in `-p`;
/// where it leaves f32 it is cut off at `exp(88)`.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{PairLengths, PairLogProbs, SimpoConfig, SimpoMargin};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let simpo = SimpoConfig { beta: 2.0, margin: SimpoMargin::Gamma(1.0), ..SimpoConfig::default() }.init()?;
/// let output = simpo.forward(
///     PairLogProbs::without_reference(
///         Tensor::from_floats([-10.0], &device),
///         Tensor::from_floats([-30.0], &device),
///     ),
///     PairLengths {
///         chosen: Tensor::from_floats([10.0], &device),
///         rejected: Tensor::from_floats([20.0], &device),
///     },
/// );
/// // -1 and -1.5 nats per token: 2 * 0.5 - 1 = 0.
/// assert!((output.losses.into_scalar::<f32>() - std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Simpo {
    beta: f64,
    gamma: f64,
    label_smoothing: f64,
    reward: Exponential,
}

impl Simpo {
    /// One loss per pair, from log-probs summed over each response and the responses' lengths.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs, lengths: PairLengths) -> PairOutput {
        let means = log_probs.policy().per_token(lengths);
        let rewards = means
            .map(|mean| self.reward.value(mean.clone()))
            .rewards(self.beta);
        let margin = self.reward.difference(means).mul_scalar(self.beta);
        let logits = margin.sub_scalar(self.gamma);
        let losses = smoothed_negative_log_sigmoid(logits, self.label_smoothing);
        PairOutput::new(losses, rewards)
    }
}

impl PairLoss for Simpo {
    fn needs(&self) -> Needs {
        Needs {
            lengths: true,
            ..Needs::default()
        }
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs, context.lengths("simpo")?))
    }
}
