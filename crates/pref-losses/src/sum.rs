//! Weighted sums of losses with a term of supervised fine-tuning.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::config::PreferenceLossConfig;
use crate::context::{Needs, PairContext};
use crate::error::{Error, not_negative, positive};
use crate::kto::KlEstimate;
use crate::loss::{PairLoss, PreferenceLoss};
use crate::pairs::{PairLogProbs, PairOutput, assert_len};

/// The units that the SFT term of a [`Sum`] is a mean over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SftNormalization {
    /// All tokens of the chosen responses: long responses count more (CPO, `rpo_alpha` of TRL).
    #[default]
    Tokens,
    /// Responses, each with the mean over its tokens: all responses count alike (ORPO, arXiv
    /// 2404.19733).
    Responses,
}

/// One loss of a [`Sum`] with its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumTerm {
    /// Weight of the loss, above 0. Default 1.
    #[serde(default = "one")]
    pub weight: f64,
    /// The loss; not a sum itself.
    pub loss: PreferenceLossConfig,
}

fn one() -> f64 {
    1.0
}

/// Settings of [`Sum`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SumConfig {
    /// The losses, at least one. Rewards that are reported are those of the first.
    pub terms: Vec<SumTerm>,
    /// Weight of the SFT term, at least 0. Default 0.
    pub sft_weight: f64,
    /// The units that the SFT term is a mean over. Default tokens.
    pub sft_normalization: SftNormalization,
}

impl SumConfig {
    /// Adds a loss.
    pub fn with_term(mut self, weight: f64, loss: PreferenceLossConfig) -> Self {
        self.terms.push(SumTerm { weight, loss });
        self
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range, here or in a term;
    /// [`Error::InvalidSum`] when there is no term, a term is a sum, or terms want different KL
    /// estimates.
    pub fn init(&self) -> Result<Sum, Error> {
        not_negative("sum", "sft_weight", self.sft_weight)?;
        let invalid = |reason| Err(Error::InvalidSum { reason });
        if self.terms.is_empty() {
            return invalid("it has no terms; give at least one loss");
        }
        let mut terms = Vec::with_capacity(self.terms.len());
        let mut estimate: Option<KlEstimate> = None;
        for term in &self.terms {
            positive("sum", "weight", term.weight)?;
            let loss = match &term.loss {
                PreferenceLossConfig::Sum(_) => {
                    return invalid("a term is a sum itself; list its terms in the outer sum");
                }
                config => config.init()?,
            };
            if let Some(wanted) = loss.wanted_kl()
                && *estimate.get_or_insert(wanted) != wanted
            {
                return invalid("terms differ in their KL estimate; give them the same `kl`");
            }
            terms.push((term.weight, loss));
        }
        Ok(Sum {
            terms,
            sft_weight: self.sft_weight,
            sft_normalization: self.sft_normalization,
        })
    }
}

/// A weighted sum of losses, with one SFT term on the chosen responses:
/// `sum_i weight_i loss_i + sft_weight * -log p_policy(chosen)` per token or per response.
///
/// With DPO and an SFT term per response it is the loss of iterative reasoning preference
/// optimisation (arXiv 2404.19733, equation 1), with [`Cpo`](crate::Cpo) and an SFT term per token
/// the whole CPO loss (arXiv 2401.08417), with several terms MPO (arXiv 2411.10442).
///
/// **When.** The SFT term is the common cure for DPO's falling chosen log-probs.
///
/// **Chosen rewards.** Those of the terms, held up by the SFT term.
///
/// **Pitfalls.** Losses differ in scale: at the reference and beta 0.1 DPO is 0.69 and IPO 25. The
/// mean over `losses` is what is defined: single entries mix a quantile of [`Aot`](crate::Aot), if it is
/// a term, with a pair, and the SFT term per token is scaled so that its *mean* is per token.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{
///     DpoConfig, PairContext, PairLengths, PairLogProbs, PreferenceLossConfig, SumConfig,
/// };
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let dpo = PreferenceLossConfig::Dpo(DpoConfig { beta: 0.1, ..DpoConfig::default() });
/// let rpo = SumConfig { sft_weight: 0.5, ..SumConfig::default().with_term(1.0, dpo) }.init()?;
/// let log_probs = Tensor::<1>::from_floats([-10.0, -20.0], &device);
/// let context = PairContext {
///     lengths: Some(PairLengths {
///         chosen: Tensor::from_floats([5.0, 25.0], &device),
///         rejected: Tensor::from_floats([9.0, 9.0], &device),
///     }),
///     ..PairContext::default()
/// };
/// let output = rpo.forward(
///     PairLogProbs {
///         policy_chosen: log_probs.clone(),
///         policy_rejected: log_probs.clone(),
///         reference_chosen: log_probs.clone(),
///         reference_rejected: log_probs,
///     },
///     &context,
/// )?;
/// // ln 2 of DPO at the reference, and half of 30 nats over 30 tokens.
/// let loss = output.losses.mean().into_scalar::<f32>();
/// assert!((loss - (std::f32::consts::LN_2 + 0.5)).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sum {
    terms: Vec<(f64, PreferenceLoss)>,
    sft_weight: f64,
    sft_normalization: SftNormalization,
}

impl Sum {
    /// The inputs that the terms look at, together, and lengths for an SFT term.
    pub fn needs(&self) -> Needs {
        let terms = self.losses().map(|loss| loss.needs());
        let sft = Needs {
            lengths: self.sft_weight > 0.0,
            ..Needs::default()
        };
        terms.fold(sft, Needs::or)
    }

    /// The losses of the terms, in order.
    pub fn losses(&self) -> impl Iterator<Item = &PreferenceLoss> {
        self.terms.iter().map(|(_, loss)| loss)
    }

    /// One loss per pair, from log-probs summed over each response.
    ///
    /// # Errors
    ///
    /// [`Error::MissingKl`] or [`Error::MissingLengths`] when `context` lacks what a term, or the SFT
    /// term, needs.
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(
        &self,
        log_probs: PairLogProbs,
        context: &PairContext,
    ) -> Result<PairOutput, Error> {
        let mut total: Option<PairOutput> = None;
        for (weight, loss) in &self.terms {
            let mut output = loss.forward(log_probs.clone(), context)?;
            output.losses = output.losses.mul_scalar(*weight);
            total = Some(match total {
                None => output,
                Some(sum) => PairOutput {
                    losses: sum.losses + output.losses,
                    ..sum
                },
            });
        }
        let Some(mut total) = total else {
            return Err(Error::InvalidSum {
                reason: "it has no terms; give at least one loss",
            });
        };
        if self.sft_weight > 0.0 {
            let sft = self.sft(log_probs.policy_chosen, context)?;
            total.losses = total.losses + sft.mul_scalar(self.sft_weight);
        }
        Ok(total)
    }

    /// The negative log-prob of each chosen response, scaled so that the mean over pairs is the mean
    /// that was asked for.
    fn sft(&self, chosen: Tensor<1>, context: &PairContext) -> Result<Tensor<1>, Error> {
        let pairs = chosen.dims()[0];
        let negative = chosen.cast(DType::F32).neg();
        if let (SftNormalization::Tokens, Some(mean)) =
            (self.sft_normalization, context.mean_chosen_tokens)
        {
            return Ok(negative.div_scalar(mean.max(f64::MIN_POSITIVE)));
        }
        let lengths = context.lengths("sum")?.chosen;
        assert_len("lengths.chosen", &lengths, "policy_chosen", pairs);
        let lengths = lengths.cast(DType::F32).detach();
        Ok(match self.sft_normalization {
            _ if pairs == 0 => negative,
            SftNormalization::Tokens => {
                let mean = lengths.sum().clamp_min(1.0).div_scalar(pairs as f64);
                negative / mean
            }
            SftNormalization::Responses => negative / lengths.clamp_min(1.0),
        })
    }
}

impl PairLoss for Sum {
    fn needs(&self) -> Needs {
        self.needs()
    }

    fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        // All terms that want an estimate agree on which.
        let mut losses = self.losses();
        losses.find(|loss| loss.needs().kl)?.kl(policy, reference)
    }

    fn wanted_kl(&self) -> Option<KlEstimate> {
        self.losses().find_map(|loss| loss.wanted_kl())
    }

    fn is_per_pair(&self) -> bool {
        self.losses().all(|loss| loss.is_per_pair())
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        self.forward(log_probs, context)
    }
}
