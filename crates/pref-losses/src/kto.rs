//! Kahneman-Tversky optimisation: desirable and undesirable responses that need not be paired.

use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::context::{Needs, PairContext};
use crate::error::{Error, positive};
use crate::loss::{PairLoss, VerdictLoss};
use crate::pairs::{PairLogProbs, PairOutput, assert_len, log_ratio};
use crate::stable::sigmoid;
use crate::unpaired::{UnpairedContext, UnpairedLogProbs, UnpairedOutput};

/// How the KL term (KTO's reference point) is estimated from mismatched log-ratios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimate {
    /// Mean over all mismatched rows, clamped at 0 (what TRL does).
    #[default]
    Mean,
    /// Mean over the rows whose log-ratio is not exactly 0, clamped at 0 (what the authors'
    /// HALOs code does).
    NonZeroMean,
    /// No estimate, the reference point is 0 (APO-zero unpaired, arXiv 2408.06266).
    Zero,
}

/// Settings of [`Kto`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KtoConfig {
    /// Strength of the tie to the reference, above 0. Default 0.1.
    pub beta: f64,
    /// Weight of desirable responses (lambda+), above 0. Default 1. Eurus takes 1.33.
    pub desirable_weight: f64,
    /// Weight of undesirable responses (lambda-), above 0. Default 1.
    pub undesirable_weight: f64,
    /// How the KL term is estimated. Default mean.
    pub kl: KlEstimate,
}

impl Default for KtoConfig {
    fn default() -> Self {
        Self {
            beta: 0.1,
            desirable_weight: 1.0,
            undesirable_weight: 1.0,
            kl: KlEstimate::default(),
        }
    }
}

impl KtoConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<Kto, Error> {
        self.init_as("kto")
    }

    /// Makes the loss; errors call it `name`.
    pub(crate) fn init_as(&self, name: &'static str) -> Result<Kto, Error> {
        positive(name, "beta", self.beta)?;
        positive(name, "desirable_weight", self.desirable_weight)?;
        positive(name, "undesirable_weight", self.undesirable_weight)?;
        Ok(Kto {
            beta: self.beta,
            desirable_weight: self.desirable_weight,
            undesirable_weight: self.undesirable_weight,
            kl: self.kl,
        })
    }
}

/// Kahneman-Tversky optimisation (arXiv 2402.01306, equation 8).
///
/// With `x = policy - reference` and `K` the KL estimate:
///
/// - desirable: `lambda+ * s(-beta (x - K))`
/// - undesirable: `lambda- * s(-beta (K - x))`
///
/// which is the paper's `lambda - v`. The mean is over responses, never over weights; batches that
/// are all desirable or all undesirable are fine.
///
/// **When.** For thumbs-up and thumbs-down data, unbalanced data, and on reasoning data, where Eurus
/// found it to beat DPO (arXiv 2404.02078, Section 4.2).
///
/// **Chosen rewards.** Raised above the KL to the reference: desirable responses pull by themselves.
///
/// **Pitfalls.** The loss saturates on both sides: a response that is already much more (or
/// hopelessly less) likely than under the reference stops pulling. The completions behind `K` must
/// really be mismatched: siblings of the prompt's own responses bias it.
///
/// `K` comes from [`Kto::kl`]. It is an argument of its own so that it can be taken over a whole
/// step while losses are computed in smaller pieces.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::{KtoConfig, UnpairedLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let kto = KtoConfig { beta: 0.1, desirable_weight: 1.33, ..KtoConfig::default() }.init()?;
/// // Log-probs of responses under prompts they do not belong to.
/// let kl = kto.kl(
///     Tensor::from_floats([-50.0, -61.0], &device),
///     Tensor::from_floats([-52.0, -61.0], &device),
/// );
/// let output = kto.forward(
///     UnpairedLogProbs {
///         policy: Tensor::from_floats([-9.0, -20.0], &device),
///         reference: Tensor::from_floats([-10.0, -21.0], &device),
///         desirable: Tensor::<1, Bool>::from_data([true, false], &device),
///     },
///     kl,
/// );
/// // Both log-ratios equal the KL estimate (1 nat), so both values are lambda / 2.
/// let losses: Vec<f32> = output.losses.into_data().iter::<f32>().collect();
/// assert!((losses[0] - 0.665).abs() < 1e-6 && (losses[1] - 0.5).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Kto {
    beta: f64,
    desirable_weight: f64,
    undesirable_weight: f64,
    kl: KlEstimate,
}

impl Kto {
    /// How the KL term is estimated.
    pub fn kl_estimate(&self) -> KlEstimate {
        self.kl
    }

    /// The KL estimate, `[1]`: the mean log-ratio of mismatched (prompt, response) pairs, clamped
    /// at 0 and without gradient.
    ///
    /// The responses must not belong to the prompts they are scored under, nor to siblings of
    /// them. Without any row the estimate is 0.
    ///
    /// # Shapes
    ///
    /// - policy, reference: `[rows]`, any number of rows
    ///
    /// # Panics
    ///
    /// If the two differ in length.
    pub fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Tensor<1> {
        let rows = policy.dims()[0];
        assert_len("reference", &reference, "policy", rows);
        let ratios = log_ratio(policy, reference).detach();
        if rows == 0 {
            return Tensor::zeros([1], (&ratios.device(), DType::F32));
        }
        let mean = match self.kl {
            KlEstimate::Zero => return Tensor::zeros([1], (&ratios.device(), DType::F32)),
            KlEstimate::Mean => ratios.mean(),
            KlEstimate::NonZeroMean => {
                // A 0/1 tensor made by masking keeps the dtype at f32 on every device.
                let counted = ratios
                    .ones_like()
                    .mask_fill(ratios.clone().equal_elem(0.0), 0.0);
                ratios.sum() / counted.sum().clamp_min(1.0)
            }
        };
        mean.clamp_min(0.0)
    }

    fn own_needs(&self) -> Needs {
        Needs {
            kl: self.kl != KlEstimate::Zero,
            ..Needs::REFERENCE
        }
    }

    /// [`Kto::kl`] where an estimate is wanted.
    fn estimate(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        self.own_needs().kl.then(|| self.kl(policy, reference))
    }

    /// The estimate that was given, or 0 where none is wanted.
    fn reference_point(
        &self,
        given: Option<Tensor<1>>,
        device: &Device,
    ) -> Result<Tensor<1>, Error> {
        match (self.kl, given) {
            (KlEstimate::Zero, _) => Ok(Tensor::zeros([1], (device, DType::F32))),
            (_, Some(kl)) => Ok(kl),
            (_, None) => Err(Error::MissingKl),
        }
    }

    /// One loss per response, in input order.
    ///
    /// # Shapes
    ///
    /// - kl: `[1]`, from [`Kto::kl`]
    ///
    /// # Panics
    ///
    /// If the three tensors differ in length or `kl` is not `[1]`.
    pub fn forward(&self, log_probs: UnpairedLogProbs, kl: Tensor<1>) -> UnpairedOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.clone().detach().mul_scalar(self.beta);
        let undesirable = log_probs.desirable.bool_not();
        let ones = ratios.ones_like();
        let signs = ones.clone().mask_fill(undesirable.clone(), -1.0);
        let weights = ones
            .mul_scalar(self.desirable_weight)
            .mask_fill(undesirable, self.undesirable_weight);
        let gains = self.relative_to(ratios, kl) * signs;
        UnpairedOutput {
            losses: sigmoid(gains.neg()) * weights,
            rewards,
        }
    }

    /// KTO from pairs, as Eurus uses it (arXiv 2404.02078, Section 4.1): chosen responses are the
    /// desirable ones, rejected responses the undesirable ones.
    ///
    /// A pair's loss is the mean of its two responses' losses, so that the mean over pairs is
    /// KTO's mean over responses.
    ///
    /// # Shapes
    ///
    /// - kl: `[1]`, from [`Kto::kl`]
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length or `kl` is not `[1]`.
    pub fn forward_pairs(&self, log_probs: PairLogProbs, kl: Tensor<1>) -> PairOutput {
        let ratios = log_probs.log_ratios();
        let rewards = ratios.rewards(self.beta);
        let chosen = sigmoid(self.relative_to(ratios.chosen, kl.clone()).neg());
        let rejected = sigmoid(self.relative_to(ratios.rejected, kl));
        let losses = chosen.mul_scalar(0.5 * self.desirable_weight)
            + rejected.mul_scalar(0.5 * self.undesirable_weight);
        PairOutput::new(losses, rewards)
    }

    /// `beta * (ratio - K)`.
    fn relative_to(&self, ratios: Tensor<1>, kl: Tensor<1>) -> Tensor<1> {
        assert_len("kl", &kl, "a KL estimate", 1);
        (ratios - kl.cast(DType::F32).detach()).mul_scalar(self.beta)
    }
}

impl PairLoss for Kto {
    fn needs(&self) -> Needs {
        self.own_needs()
    }

    fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        self.estimate(policy, reference)
    }

    fn wanted_kl(&self) -> Option<KlEstimate> {
        (self.kl != KlEstimate::Zero).then_some(self.kl)
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        let kl = self.reference_point(context.kl.clone(), &log_probs.policy_chosen.device())?;
        Ok(self.forward_pairs(log_probs, kl))
    }
}

impl VerdictLoss for Kto {
    fn needs(&self) -> Needs {
        self.own_needs()
    }

    fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        self.estimate(policy, reference)
    }

    fn forward(
        &self,
        log_probs: UnpairedLogProbs,
        context: &UnpairedContext,
    ) -> Result<UnpairedOutput, Error> {
        let kl = self.reference_point(context.kl.clone(), &log_probs.policy.device())?;
        Ok(self.forward(log_probs, kl))
    }
}
