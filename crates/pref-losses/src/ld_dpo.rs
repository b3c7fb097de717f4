//! Length-desensitised DPO: the tail of the longer response counts less.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::config::PreferenceLossConfig;
use crate::context::{Needs, PairContext};
use crate::dpo::DpoConfig;
use crate::error::{Error, check};
use crate::kto::KlEstimate;
use crate::loss::{PairLoss, PreferenceLoss};
use crate::pairs::{PairLogProbs, PairOutput};
use crate::parts::{PairParts, ResponseParts, weighted_sums};

/// Settings of [`LdDpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LdDpoConfig {
    /// Weight of the tokens by which the longer response exceeds the shorter one, 0 to 1. 1 counts
    /// them like the others, 0 cuts them off. Default 0.5; the right one differs between models.
    pub alpha: f64,
    /// The loss that takes the sums. Default [`Dpo`](crate::Dpo).
    pub loss: Box<PreferenceLossConfig>,
}

impl Default for LdDpoConfig {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            loss: Box::new(PreferenceLossConfig::Dpo(DpoConfig::default())),
        }
    }
}

impl LdDpoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when `alpha` is not from 0 to 1 or the loss has a number outside its
    /// range.
    pub fn init(&self) -> Result<LdDpo, Error> {
        let holds = (0.0..=1.0).contains(&self.alpha);
        check("ld_dpo", "alpha", self.alpha, holds, "from 0 to 1")?;
        Ok(LdDpo {
            alpha: self.alpha,
            loss: self.loss.init()?,
        })
    }
}

/// The length-desensitised log-probs of LD-DPO (arXiv 2409.06411), for any loss over pairs.
///
/// With `n_c`, `n_r` the numbers of tokens of a pair's two responses, `s = min(n_c, n_r)` and `x_t`
/// the log-prob of token `t = 1, 2, ..` of a response:
///
/// `A = sum_{t <= s} x_t + alpha sum_{t > s} x_t`
///
/// takes the place of the plain sum, under the policy **and** under the reference. At most one
/// response of a pair has tokens beyond `s`. With [`Dpo`](crate::Dpo) on these log-probs it is
/// LD-DPO; losses that divide by lengths still divide by the full numbers of tokens.
///
/// **When.** DPO on data whose chosen responses are longer learns to be verbose: a longer response
/// has the larger sum of log-ratios to move. This takes the part of the gradient away that is length
/// alone.
///
/// **Chosen rewards.** Those of the loss it is given to; with `alpha` below 1, tokens beyond `s` add
/// less to them.
///
/// **Pitfalls.** `A` of a response depends on its partner and on `alpha`, so sums of reference
/// log-probs that were stored per response do not serve: log-probs per token do. TRL 0.18 to 0.28
/// left the reference unscaled, which does not give ln 2 at the reference. If one response has no
/// token, all of the other one is tail.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::{DpoConfig, LdDpoConfig, ResponseParts};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let tokens = |policy: [f32; 3], mask: [bool; 3]| ResponseParts {
///     policy: Tensor::from_floats([policy], &device),
///     reference: Tensor::zeros([1, 3], &device),
///     mask: Tensor::<2, Bool>::from_data([mask], &device),
/// };
/// let log_probs = LdDpoConfig { alpha: 0.5, ..LdDpoConfig::default() }.init()?.log_probs(
///     tokens([-1.0, -2.0, -4.0], [true, true, true]),
///     tokens([-3.0, -9.0, -9.0], [true, false, false]),
/// );
/// // One token is shared; the two after it count half.
/// assert_eq!(log_probs.policy_chosen.clone().into_scalar::<f32>(), -1.0 - 0.5 * 6.0);
/// assert_eq!(log_probs.policy_rejected.clone().into_scalar::<f32>(), -3.0);
/// let output = DpoConfig::default().init()?.forward(log_probs);
/// assert_eq!(output.losses.dims(), [1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LdDpo {
    alpha: f64,
    loss: PreferenceLoss,
}

impl LdDpo {
    /// The log-probs of each pair's responses, `[pairs]` and f32, from those of their tokens. The
    /// policy's have a gradient, which for a token beyond the shared ones is `alpha` times that of a
    /// shared one.
    ///
    /// # Panics
    ///
    /// If the shapes disagree.
    pub fn log_probs(&self, chosen: ResponseParts, rejected: ResponseParts) -> PairLogProbs {
        weighted_sums(chosen, rejected, |chosen, rejected| {
            let shared = chosen.counts().min_pair(rejected.counts());
            [chosen, rejected].map(|side| self.weights(side.numbers(), shared.clone()))
        })
    }

    /// 1 for tokens up to number `shared [pairs, 1]`, `alpha` for those after it.
    fn weights(&self, numbers: Tensor<2>, shared: Tensor<2>) -> Tensor<2> {
        let ones = numbers.ones_like();
        // Whole numbers: half of one is a safe distance from both sides.
        let tail = (numbers - shared).greater_elem(0.5);
        ones.mask_fill(tail, self.alpha)
    }
}

impl PairLoss for LdDpo {
    fn needs(&self) -> Needs {
        Needs {
            tokens: true,
            ..self.loss.needs()
        }
    }

    fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        self.loss.kl(policy, reference)
    }

    fn wanted_kl(&self) -> Option<KlEstimate> {
        self.loss.wanted_kl()
    }

    fn is_per_pair(&self) -> bool {
        self.loss.is_per_pair()
    }

    fn forward(&self, _: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        let PairParts { chosen, rejected } = context.tokens("ld_dpo")?;
        self.loss.forward(self.log_probs(chosen, rejected), context)
    }
}
