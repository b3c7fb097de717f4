//! Losses of reward models: Bradley-Terry, direct rewards (LDR), and their sum, L_UltraInteract.

use burn::tensor::{Bool, DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, not_negative};
use crate::loss::RewardPairLoss;
use crate::pairs::assert_len;
use crate::stable::negative_log_sigmoid;

/// Labels that a data set may give its pairs beside their order. The default has none.
#[derive(Debug, Clone, Default)]
pub struct RewardContext {
    /// By how much the chosen reward should lead, `[pairs]`; for the ranking term.
    pub margin: Option<Tensor<1>>,
    /// True for rows that are only ranked, without the direct-reward term of [`UltraInteractReward`],
    /// `[pairs]`; none are where it is `None`. The other losses do not look at it.
    pub rank_only: Option<Tensor<1, Bool>>,
    /// For losses that [look at them](RewardPairLoss::needs_distances), as [`NormBt`](crate::NormBt).
    pub distances: Option<RepresentationDistances>,
}

/// How far apart the representations of each pair's responses are.
#[derive(Debug, Clone)]
pub struct RepresentationDistances {
    /// Distances `[pairs]`, from [`representation_distances`](crate::representation_distances).
    pub distances: Tensor<1>,
    /// Their running mean *before* this step's pairs, at least 0; in the first step, which has none,
    /// the mean of that step.
    pub mean: f64,
}

/// Settings of [`BradleyTerry`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BradleyTerryConfig {
    /// Weight of the penalty `(r_c + r_r)^2` that centres the rewards, at least 0. Default 0.
    pub center_coefficient: f64,
}

impl BradleyTerryConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when the coefficient is negative.
    pub fn init(&self) -> Result<BradleyTerry, Error> {
        not_negative(
            "bradley_terry",
            "center_coefficient",
            self.center_coefficient,
        )?;
        Ok(BradleyTerry {
            center_coefficient: self.center_coefficient,
        })
    }
}

/// Bradley-Terry ranking loss (arXiv 2203.02155, equation 1): `-log s(r_c - r_r - margin)`.
///
/// The margin is that of Llama 2 (arXiv 2307.09288, equation 2), the optional penalty
/// `c (r_c + r_r)^2` that of arXiv 2312.09244.
///
/// **When.** Rewards are only compared within a prompt: best of N, rejection sampling.
///
/// **Chosen rewards.** Only the difference of the two rewards counts, so their level is arbitrary; the
/// penalty holds it near 0.
///
/// **Pitfalls.** Means of rewards over prompts say nothing, and a threshold on them selects prompts.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::BradleyTerryConfig;
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let loss = BradleyTerryConfig::default().init()?;
/// let rewards = Tensor::<1>::from_floats([3.0], &device);
/// let tied = loss.forward(rewards.clone(), rewards).into_scalar::<f32>();
/// assert!((tied - std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct BradleyTerry {
    center_coefficient: f64,
}

impl BradleyTerry {
    /// One loss per pair.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected, output: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(&self, chosen: Tensor<1>, rejected: Tensor<1>) -> Tensor<1> {
        let (chosen, rejected) = same_length(chosen, rejected);
        let ranked = negative_log_sigmoid(chosen.clone() - rejected.clone());
        self.with_penalty(ranked, chosen, rejected)
    }

    /// One loss per pair, with the margin by which the chosen reward should lead.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected, margin, output: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward_with_margin(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        margin: Tensor<1>,
    ) -> Tensor<1> {
        let (chosen, rejected) = same_length(chosen, rejected);
        assert_len("margin", &margin, "chosen", chosen.dims()[0]);
        let margin = margin.cast(DType::F32).detach();
        let ranked = negative_log_sigmoid(chosen.clone() - rejected.clone() - margin);
        self.with_penalty(ranked, chosen, rejected)
    }

    fn with_penalty(&self, ranked: Tensor<1>, chosen: Tensor<1>, rejected: Tensor<1>) -> Tensor<1> {
        if self.center_coefficient == 0.0 {
            return ranked;
        }
        let total = chosen + rejected;
        ranked + (total.clone() * total).mul_scalar(self.center_coefficient)
    }
}

impl RewardPairLoss for BradleyTerry {
    fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        context: &RewardContext,
    ) -> Result<Tensor<1>, Error> {
        Ok(match context.margin.clone() {
            None => self.forward(chosen, rejected),
            Some(margin) => self.forward_with_margin(chosen, rejected, margin),
        })
    }
}

/// Settings of [`Ldr`]: there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdrConfig {}

impl LdrConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// None yet: there is nothing to get wrong.
    pub fn init(&self) -> Result<Ldr, Error> {
        Ok(Ldr)
    }
}

/// Direct-reward loss LDR (arXiv 2404.02078, Section 3): `-log s(r_c) - log s(-r_r)`.
///
/// **When.** With [`BradleyTerry`], as [`UltraInteractReward`]; alone it is a classifier of single
/// responses.
///
/// **Chosen rewards.** Pushed above 0, and rejected rewards below it, which Bradley-Terry alone does
/// not.
///
/// **Pitfalls.** It needs chosen responses that are right and rejected ones that are wrong. Where both
/// are good and one is better, as in chat data, it fights the labels.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::Ldr;
///
/// let device = Device::flex();
/// let zero = Tensor::<1>::zeros([1], &device);
/// let loss = Ldr.forward(zero.clone(), zero).into_scalar::<f32>();
/// assert!((loss - 2.0 * std::f32::consts::LN_2).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Ldr;

impl Ldr {
    /// One loss per pair.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected, output: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(&self, chosen: Tensor<1>, rejected: Tensor<1>) -> Tensor<1> {
        let (chosen, rejected) = same_length(chosen, rejected);
        negative_log_sigmoid(chosen) + negative_log_sigmoid(rejected.neg())
    }
}

impl RewardPairLoss for Ldr {
    fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        _: &RewardContext,
    ) -> Result<Tensor<1>, Error> {
        Ok(self.forward(chosen, rejected))
    }
}

/// Settings of [`UltraInteractReward`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UltraInteractRewardConfig {
    /// Weight of the direct-reward term, at least 0. Default 1, as in the paper.
    pub direct_weight: f64,
    /// Weight of the centering penalty of the ranking term, at least 0. Default 0.
    pub center_coefficient: f64,
}

impl Default for UltraInteractRewardConfig {
    fn default() -> Self {
        Self {
            direct_weight: 1.0,
            center_coefficient: 0.0,
        }
    }
}

impl UltraInteractRewardConfig {
    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a weight is negative.
    pub fn init(&self) -> Result<UltraInteractReward, Error> {
        not_negative("ultra_interact", "direct_weight", self.direct_weight)?;
        not_negative(
            "ultra_interact",
            "center_coefficient",
            self.center_coefficient,
        )?;
        Ok(UltraInteractReward {
            ranking: BradleyTerry {
                center_coefficient: self.center_coefficient,
            },
            direct_weight: self.direct_weight,
        })
    }
}

/// L_UltraInteract, the reward-model loss of Eurus (arXiv 2404.02078, Section 3):
/// `-log s(r_c - r_r) - weight * (log s(r_c) + log s(-r_r))`.
///
/// The first term ranks; the second fixes the zero of the scale.
///
/// **When.** Pairs of correct and incorrect responses, and rewards that shall be comparable between
/// prompts.
///
/// **Chosen rewards.** Ranked above the rejected ones, and above 0.
///
/// **Pitfalls.** Rows from data sets whose rejected responses are not wrong must get the first term
/// alone: [`forward_mixed`](UltraInteractReward::forward_mixed).
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::UltraInteractRewardConfig;
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let loss = UltraInteractRewardConfig::default().init()?;
/// let zeros = Tensor::<1>::zeros([2], &device);
/// let rank_only = Tensor::<1, Bool>::from_data([false, true], &device);
/// let losses = loss.forward_mixed(zeros.clone(), zeros, rank_only);
/// let losses: Vec<f32> = losses.into_data().iter::<f32>().collect();
/// assert!((losses[0] - 3.0 * losses[1]).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct UltraInteractReward {
    ranking: BradleyTerry,
    direct_weight: f64,
}

impl UltraInteractReward {
    /// One loss per pair, all rows with both terms.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected, output: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(&self, chosen: Tensor<1>, rejected: Tensor<1>) -> Tensor<1> {
        let ranked = self.ranking.forward(chosen.clone(), rejected.clone());
        self.with_direct(ranked, chosen, rejected, None)
    }

    /// One loss per pair, without the direct-reward term where `rank_only` is true.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected, rank_only, output: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward_mixed(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        rank_only: Tensor<1, Bool>,
    ) -> Tensor<1> {
        let ranked = self.ranking.forward(chosen.clone(), rejected.clone());
        self.with_direct(ranked, chosen, rejected, Some(rank_only))
    }

    fn with_direct(
        &self,
        ranked: Tensor<1>,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        rank_only: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        let rows = ranked.dims()[0];
        let mut direct = Ldr.forward(chosen, rejected);
        if let Some(rank_only) = rank_only {
            let marked = rank_only.dims()[0];
            assert!(
                marked == rows,
                "`rank_only` has {marked} entries, `chosen` has {rows}: they must agree"
            );
            direct = direct.mask_fill(rank_only, 0.0);
        }
        ranked + direct.mul_scalar(self.direct_weight)
    }
}

impl RewardPairLoss for UltraInteractReward {
    fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        context: &RewardContext,
    ) -> Result<Tensor<1>, Error> {
        let (c, r) = (chosen.clone(), rejected.clone());
        let ranked = RewardPairLoss::forward(&self.ranking, c, r, context)?;
        Ok(self.with_direct(ranked, chosen, rejected, context.rank_only.clone()))
    }
}

fn same_length(chosen: Tensor<1>, rejected: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    assert_len("rejected", &rejected, "chosen", chosen.dims()[0]);
    (chosen.cast(DType::F32), rejected.cast(DType::F32))
}
