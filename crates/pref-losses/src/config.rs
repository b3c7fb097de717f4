//! Losses chosen by configuration: `{"type": "kto", "beta": 0.1}`.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::dpo::{Dpo, DpoConfig};
use crate::error::Error;
use crate::hinge::{Hinge, HingeConfig};
use crate::ipo::{Ipo, IpoConfig};
use crate::kto::{KlEstimate, Kto, KtoConfig};
use crate::nca::{Nca, NcaConfig};
use crate::pairs::{PairLogProbs, PairOutput};
use crate::reward::{
    BradleyTerry, BradleyTerryConfig, UltraInteractReward, UltraInteractRewardConfig,
};

/// Which preference loss, with its settings. Fields that are left out take their defaults, unknown
/// ones are errors.
///
/// # Examples
///
/// ```
/// use pref_losses::PreferenceLossConfig;
///
/// let config: PreferenceLossConfig =
///     serde_json::from_str(r#"{"type": "kto", "beta": 0.1, "desirable_weight": 1.33}"#)?;
/// assert!(config.init()?.needs_kl());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PreferenceLossConfig {
    /// [`Dpo`].
    Dpo(DpoConfig),
    /// [`Ipo`] on summed log-probs.
    Ipo(IpoConfig),
    /// [`Hinge`].
    Hinge(HingeConfig),
    /// [`Nca`].
    Nca(NcaConfig),
    /// [`Kto`] from pairs.
    Kto(KtoConfig),
}

impl PreferenceLossConfig {
    /// The name of the loss, as in the serialized `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dpo(_) => "dpo",
            Self::Ipo(_) => "ipo",
            Self::Hinge(_) => "hinge",
            Self::Nca(_) => "nca",
            Self::Kto(_) => "kto",
        }
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<PreferenceLoss, Error> {
        Ok(match self {
            Self::Dpo(config) => PreferenceLoss::Dpo(config.init()?),
            Self::Ipo(config) => PreferenceLoss::Ipo(config.init()?),
            Self::Hinge(config) => PreferenceLoss::Hinge(config.init()?),
            Self::Nca(config) => PreferenceLoss::Nca(config.init()?),
            Self::Kto(config) => PreferenceLoss::Kto(config.init()?),
        })
    }
}

/// A preference loss over pairs, chosen at run time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PreferenceLoss {
    /// Direct preference optimisation.
    Dpo(Dpo),
    /// Identity preference optimisation.
    Ipo(Ipo),
    /// Hinge loss on the margin.
    Hinge(Hinge),
    /// Noise-contrastive alignment.
    Nca(Nca),
    /// Kahneman-Tversky optimisation.
    Kto(Kto),
}

impl PreferenceLoss {
    /// True when [`forward`](Self::forward) wants a KL estimate.
    pub fn needs_kl(&self) -> bool {
        matches!(self, Self::Kto(kto) if kto.kl_estimate() != KlEstimate::Zero)
    }

    /// The KL estimate `[1]` from mismatched log-probs, for losses that need one: [`Kto::kl`].
    pub fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        match self {
            Self::Kto(kto) if self.needs_kl() => Some(kto.kl(policy, reference)),
            _ => None,
        }
    }

    /// One loss per pair, from log-probs summed over each response. `kl` is used by KTO alone.
    ///
    /// # Errors
    ///
    /// [`Error::MissingKl`] when a KL estimate is needed and none is given.
    ///
    /// # Panics
    ///
    /// If the four tensors differ in length.
    pub fn forward(
        &self,
        log_probs: PairLogProbs,
        kl: Option<Tensor<1>>,
    ) -> Result<PairOutput, Error> {
        Ok(match self {
            Self::Dpo(loss) => loss.forward(log_probs),
            Self::Ipo(loss) => loss.forward(log_probs),
            Self::Hinge(loss) => loss.forward(log_probs),
            Self::Nca(loss) => loss.forward(log_probs),
            Self::Kto(loss) => {
                let kl = match (loss.kl_estimate(), kl) {
                    (KlEstimate::Zero, _) => Tensor::zeros([1], &log_probs.policy_chosen.device()),
                    (_, Some(kl)) => kl,
                    (_, None) => return Err(Error::MissingKl),
                };
                loss.forward_pairs(log_probs, kl)
            }
        })
    }
}

/// Which reward-model loss, with its settings.
///
/// # Examples
///
/// ```
/// use pref_losses::RewardLossConfig;
///
/// let config: RewardLossConfig = serde_json::from_str(r#"{"type": "ultra_interact"}"#)?;
/// assert_eq!(config.name(), "ultra_interact");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RewardLossConfig {
    /// [`BradleyTerry`].
    BradleyTerry(BradleyTerryConfig),
    /// [`UltraInteractReward`]: Bradley-Terry plus direct rewards.
    UltraInteract(UltraInteractRewardConfig),
}

impl RewardLossConfig {
    /// The name of the loss, as in the serialized `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BradleyTerry(_) => "bradley_terry",
            Self::UltraInteract(_) => "ultra_interact",
        }
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] when a number is outside its range.
    pub fn init(&self) -> Result<RewardLoss, Error> {
        Ok(match self {
            Self::BradleyTerry(config) => RewardLoss::BradleyTerry(config.init()?),
            Self::UltraInteract(config) => RewardLoss::UltraInteract(config.init()?),
        })
    }
}

/// A reward-model loss over pairs, chosen at run time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RewardLoss {
    /// Ranking alone.
    BradleyTerry(BradleyTerry),
    /// Ranking plus direct rewards.
    UltraInteract(UltraInteractReward),
}

impl RewardLoss {
    /// One loss per pair. `is_ultra_interact` marks the rows that get the direct-reward term
    /// (all rows when it is `None`); plain Bradley-Terry ignores it.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected, is_ultra_interact, output: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        is_ultra_interact: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        match (self, is_ultra_interact) {
            (Self::BradleyTerry(loss), _) => loss.forward(chosen, rejected),
            (Self::UltraInteract(loss), None) => loss.forward(chosen, rejected),
            (Self::UltraInteract(loss), Some(rows)) => loss.forward_mixed(chosen, rejected, rows),
        }
    }
}
