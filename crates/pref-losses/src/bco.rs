//! Binary classifier optimisation, of pairs and of responses with a verdict.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, positive};
use crate::loss::{PairLoss, VerdictLoss};
use crate::pairs::{PairLogProbs, PairOutput};
use crate::stable::negative_log_sigmoid;
use crate::unpaired::{UnpairedContext, UnpairedLogProbs, UnpairedOutput};

/// Settings of [`Bco`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BcoConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
}

impl Default for BcoConfig {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl BcoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `beta` is not above 0.
    pub fn init(&self) -> Result<Bco, Error> {
        positive("bco", "beta", self.beta)?;
        Ok(Bco { beta: self.beta })
    }
}

/// Binary classifier optimisation (arXiv 2404.04656): a logistic classifier of good
/// and bad responses whose logit is the implicit reward.
///
/// With `r = beta (policy - reference)`, `L(x) = -log s(x)` and the shift `delta`:
///
/// - pairs: `L(r_c - delta) + L(delta - r_r)`
/// - responses with a verdict: `L(r - delta)` for desirable ones, `L(delta - r)` for the others
///
/// `delta` is a plain number, without gradient; the paper takes the mean reward of good and bad
/// responses. The caller keeps it: with [`PreferenceStats`](crate::PreferenceStats) of the steps so far,
/// `shift += rate * ((chosen_reward + rejected_reward) / 2 - shift)`, where a rate of 1 through the
/// number of steps makes the plain mean that eurus-train takes. Without it (0) this is the loss of
/// TRL 1.16 and of the NCA authors' baseline.
///
/// **When.** For thumbs-up and thumbs-down data; it needs no mismatched pairs, which KTO does.
///
/// **Chosen rewards.** Raised above `delta`, for ever but ever less.
///
/// **Pitfalls.** Unlike KTO it does not let go of hopeless responses: a rejected response that stays
/// likely pulls with full strength. Good and bad responses must come from like prompts.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::{BcoConfig, UnpairedLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let bco = BcoConfig { beta: 0.1 }.init()?;
/// let output = bco.forward_unpaired(
///     UnpairedLogProbs {
///         policy: Tensor::from_floats([-8.0, -20.0], &device),
///         reference: Tensor::from_floats([-10.0, -22.0], &device),
///         desirable: Tensor::<1, Bool>::from_data([true, false], &device),
///     },
///     0.2,
/// );
/// // Both rewards are at the shift: the classifier is undecided.
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// assert!(losses.iter().all(|loss| (loss - std::f32::consts::LN_2).abs() < 1e-6));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Bco {
    beta: f64,
}

impl Bco {
    /// One loss per pair, from log-probs summed over each response. `shift` is delta.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(&self, log_probs: PairLogProbs, shift: f64) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        let logits = ratios.map(|ratio| ratio.clone().mul_scalar(self.beta).sub_scalar(shift));
        let losses =
            negative_log_sigmoid(logits.chosen) + negative_log_sigmoid(logits.rejected.neg());
        PairOutput::new(losses, rewards)
    }

    /// One loss per response, in input order. `shift` is delta.
    ///
    /// # Panics
    ///
    /// If the three tensors differ in length.
    pub fn forward_unpaired(&self, log_probs: UnpairedLogProbs, shift: f64) -> UnpairedOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.clone().detach().mul_scalar(self.beta);
        let logits = ratios.mul_scalar(self.beta).sub_scalar(shift);
        let signs = Tensor::ones(logits.shape(), (&logits.device(), DType::F32))
            .mask_fill(log_probs.desirable.bool_not(), -1.0);
        UnpairedOutput {
            losses: negative_log_sigmoid(logits * signs),
            rewards,
        }
    }
}

impl PairLoss for Bco {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        Ok(self.forward(log_probs, context.reward_shift))
    }
}

impl VerdictLoss for Bco {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(
        &self,
        log_probs: UnpairedLogProbs,
        context: &UnpairedContext,
    ) -> Result<UnpairedOutput, Error> {
        Ok(self.forward_unpaired(log_probs, context.reward_shift))
    }
}
