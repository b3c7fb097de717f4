//! NCA and InfoNCA over K responses per prompt with scalar rewards.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, not_negative, positive};
use crate::loss::ScoreLoss;
use crate::responses::{ResponseLogProbs, ResponseOutput};
use crate::stable::negative_log_sigmoid;

/// Settings of [`NcaK`] and [`InfoNca`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NcaKConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// The temperature that the scores are divided by before their softmax (the paper's alpha),
    /// above 0. Default 1; a small one makes the best response the only target.
    pub temperature: f64,
    /// Added to the score of the first response of each prompt, at least 0. Default 0. The
    /// authors' code puts the best response first and adds 0.01 to break ties.
    pub first_bonus: f64,
}

impl Default for NcaKConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            temperature: 1.0,
            first_bonus: 0.0,
        }
    }
}

impl NcaKConfig {
    fn validate(&self, loss: &'static str) -> Result<(), Error> {
        positive(loss, "beta", self.beta)?;
        positive(loss, "temperature", self.temperature)?;
        not_negative(loss, "first_bonus", self.first_bonus)
    }

    /// Makes the NCA loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init_nca(&self) -> Result<NcaK, Error> {
        self.validate("nca_k")?;
        Ok(NcaK {
            config: self.clone(),
        })
    }

    /// Makes the InfoNCA loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init_info_nca(&self) -> Result<InfoNca, Error> {
        self.validate("info_nca")?;
        Ok(InfoNca {
            config: self.clone(),
        })
    }

    /// Rewards (with gradient) and target weights.
    fn prepare(&self, responses: ResponseLogProbs) -> (Tensor<2>, Tensor<2>) {
        let (rewards, scores) = responses.rewards_and_scores(self.beta);
        let weights = self.target_weights(scores);
        (rewards, weights)
    }

    /// `softmax((scores + bonus on the first) / temperature)`.
    ///
    /// Scores are taken relative to the first one before the bonus is added and before the
    /// division: a temperature of 1e-3 would otherwise blow their rounding up a thousandfold.
    fn target_weights(&self, scores: Tensor<2>) -> Tensor<2> {
        let [prompts, responses] = scores.dims();
        let first = scores.clone().slice([0..prompts, 0..1]);
        let relative = scores - first;
        let relative = if responses > 1 && self.first_bonus != 0.0 {
            let rest = relative.slice([0..prompts, 1..responses]);
            let bonus = Tensor::full([prompts, 1], self.first_bonus, (&rest.device(), DType::F32));
            Tensor::cat(vec![bonus, rest], 1)
        } else {
            relative
        };
        let best = relative.clone().max_dim(1);
        softmax((relative - best).div_scalar(self.temperature), 1)
    }
}

/// NCA over K responses (arXiv 2402.05369, equation 10):
/// `sum_i w_i L(r_i) + mean_i L(-r_i)`, with `w = softmax(scores / temperature)`,
/// `r = beta (policy - reference)` and `L(x) = -log s(x)`.
///
/// With two responses and all weight on the first it is [`Nca`](crate::Nca).
///
/// **When.** K responses to a prompt are scored, by a reward model or by tests, and the scores say
/// more than their order.
///
/// **Chosen rewards.** Responses with more than `1/K` of the weight are raised, the others lowered,
/// each to an optimum of its own.
///
/// **Pitfalls.** The temperature decides: the authors' 1e-3 with their bonus of 0.01 makes the first
/// response the only target. The second term is a mean over K.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{NcaKConfig, ResponseLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let log_probs = Tensor::<2>::from_floats([[-3.0, -4.0, -5.0]], &device);
/// let output = NcaKConfig { beta: 0.1, ..NcaKConfig::default() }.init_nca()?.forward(ResponseLogProbs {
///     policy: log_probs.clone(),
///     reference: log_probs,
///     scores: Tensor::from_floats([[1.0, 0.0, 2.0]], &device),
/// });
/// // At the reference both terms are ln 2, whatever the scores.
/// assert!((output.losses.into_scalar::<f32>() - 4f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct NcaK {
    config: NcaKConfig,
}

impl NcaK {
    /// One loss per prompt.
    ///
    /// # Panics
    ///
    /// If the three tensors differ in shape.
    pub fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        let (rewards, weights) = self.config.prepare(responses);
        let data = (negative_log_sigmoid(rewards.clone()) * weights).sum_dim(1);
        let noise = negative_log_sigmoid(rewards.clone().neg()).mean_dim(1);
        ResponseOutput {
            losses: (data + noise).squeeze_dim(1),
            rewards: rewards.detach(),
        }
    }
}

impl ScoreLoss for NcaK {
    fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        self.forward(responses)
    }
}

/// InfoNCA over K responses (arXiv 2402.05369, equation 8): `-sum_i w_i log softmax(r)_i`.
///
/// With two responses and all weight on the first it is [`Dpo`](crate::Dpo).
///
/// **When.** As [`NcaK`], to compare with.
///
/// **Chosen rewards.** May fall: it shares DPO's indifference to the absolute level of the rewards.
///
/// **Pitfalls.** Those of DPO and of the temperature.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{NcaKConfig, ResponseLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let log_probs = Tensor::<2>::from_floats([[-3.0, -4.0, -5.0, -6.0]], &device);
/// let output = NcaKConfig::default().init_info_nca()?.forward(ResponseLogProbs {
///     policy: log_probs.clone(),
///     reference: log_probs,
///     scores: Tensor::from_floats([[1.0, 0.0, 2.0, 0.5]], &device),
/// });
/// // At the reference all four responses are equally likely: ln 4.
/// assert!((output.losses.into_scalar::<f32>() - 4f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct InfoNca {
    config: NcaKConfig,
}

impl InfoNca {
    /// One loss per prompt.
    ///
    /// # Panics
    ///
    /// If the three tensors differ in shape.
    pub fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        let (rewards, weights) = self.config.prepare(responses);
        let losses = (log_softmax(rewards.clone(), 1) * weights).sum_dim(1).neg();
        ResponseOutput {
            losses: losses.squeeze_dim(1),
            rewards: rewards.detach(),
        }
    }
}

impl ScoreLoss for InfoNca {
    fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        self.forward(responses)
    }
}
