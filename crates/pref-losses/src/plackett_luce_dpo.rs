//! DPO for rankings: Plackett-Luce over the implicit rewards of K scored responses.

use serde::{Deserialize, Serialize};

use crate::error::{Error, positive};
use crate::loss::ScoreLoss;
use crate::plackett_luce::ranking_losses;
use crate::responses::{ResponseLogProbs, ResponseOutput};

/// Settings of [`PlackettLuceDpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlackettLuceDpoConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
}

impl Default for PlackettLuceDpoConfig {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl PlackettLuceDpoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `beta` is not above 0.
    pub fn init(&self) -> Result<PlackettLuceDpo, Error> {
        positive("plackett_luce", "beta", self.beta)?;
        Ok(PlackettLuceDpo { beta: self.beta })
    }
}

/// DPO for rankings of K responses (arXiv 2305.18290, Appendix A.3): the negative log-probability of
/// the order of the scores under Plackett-Luce with the implicit rewards
/// `r = beta (policy - reference)`.
///
/// `sum_i -log(exp(r_i) / (exp(r_i) + sum over v_j < v_i of exp(r_j)))`, with `v` the scores. Without
/// ties that is [`PlackettLuce`](crate::PlackettLuce) of the responses sorted by score, and for two
/// responses [`Dpo`](crate::Dpo).
///
/// **Ties.** A tie says nothing: responses of equal score are each ranked before all lower ones, and
/// not compared with each other. A response without a lower one, and a prompt whose scores are all
/// equal, add 0 with a gradient of 0. The order of responses in the row does not count.
///
/// **When.** Scores are trusted for their order and not for their size; every rank shall count. Where
/// sizes are trusted see [`NcaK`](crate::NcaK), where the top counts most
/// [`LambdaRank`](crate::LambdaRank).
///
/// **Chosen rewards.** As DPO: only differences count.
///
/// **Pitfalls.** The loss grows with K (`ln K!` at the reference without ties), so prompts with more
/// responses weigh more. Scores that differ by noise are an order too: round them first.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{PlackettLuceDpoConfig, ResponseLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let log_probs = Tensor::<2>::from_floats([[-3.0, -4.0, -5.0]; 2], &device);
/// let output = PlackettLuceDpoConfig::default().init()?.forward(ResponseLogProbs {
///     policy: log_probs.clone(),
///     reference: log_probs,
///     scores: Tensor::from_floats([[1.0, 0.0, 2.0], [7.0, 0.0, 7.0]], &device),
/// });
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// // At the reference: one of 3! orders; two responses that each lead a third one.
/// assert!((losses[0] - 6f32.ln()).abs() < 1e-6);
/// assert!((losses[1] - 4f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PlackettLuceDpo {
    beta: f64,
}

impl PlackettLuceDpo {
    /// One loss per prompt.
    ///
    /// # Panics
    ///
    /// If the three tensors differ in shape, or there is no response per prompt.
    pub fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        let (rewards, scores) = responses.rewards_and_scores(self.beta);
        let [prompts, count] = scores.dims();
        let reported = rewards.clone().detach();
        if prompts == 0 || count < 2 {
            return ResponseOutput {
                losses: ranking_losses(rewards, None),
                rewards: reported,
            };
        }
        let order = scores.clone().argsort_descending(1);
        let scores = scores.gather(1, order.clone());
        let drops = scores.clone().narrow(1, 0, count - 1) - scores.narrow(1, 1, count - 1);
        ResponseOutput {
            losses: ranking_losses(rewards.gather(1, order), Some(drops.equal_elem(0.0))),
            rewards: reported,
        }
    }
}

impl ScoreLoss for PlackettLuceDpo {
    fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        self.forward(responses)
    }
}
