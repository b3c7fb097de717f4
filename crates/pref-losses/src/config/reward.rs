//! Losses of reward models over pairs.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::reward::{
    BradleyTerry, BradleyTerryConfig, Ldr, LdrConfig, UltraInteractReward,
    UltraInteractRewardConfig,
};

/// Which reward-model loss, with its settings. Fields that are left out take their defaults, unknown
/// ones are errors.
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
    /// [`Ldr`]: direct rewards alone.
    Ldr(LdrConfig),
}

impl RewardLossConfig {
    /// The names of all losses, as in the serialized `type`, in the order of the variants.
    pub const NAMES: &[&str] = &["bradley_terry", "ultra_interact", "ldr"];

    /// The name of the loss, as in the serialized `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BradleyTerry(_) => "bradley_terry",
            Self::UltraInteract(_) => "ultra_interact",
            Self::Ldr(_) => "ldr",
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
            Self::Ldr(config) => RewardLoss::Ldr(config.init()?),
        })
    }
}

/// What a data set may say about its pairs beside their order. The default says nothing.
#[derive(Debug, Clone, Default)]
pub struct RewardContext {
    /// By how much the chosen reward should lead, `[pairs]`; for the ranking term.
    pub margin: Option<Tensor<1>>,
    /// Which rows get the direct-reward term of [`UltraInteractReward`], `[pairs]`; all where it is
    /// `None`. The other losses do not look at it.
    pub is_ultra_interact: Option<Tensor<1, Bool>>,
}

/// A reward-model loss over pairs, chosen at run time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RewardLoss {
    /// Ranking alone.
    BradleyTerry(BradleyTerry),
    /// Ranking plus direct rewards.
    UltraInteract(UltraInteractReward),
    /// Direct rewards alone.
    Ldr(Ldr),
}

impl RewardLoss {
    /// One loss per pair.
    ///
    /// # Shapes
    ///
    /// - chosen, rejected, output: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        context: &RewardContext,
    ) -> Tensor<1> {
        match self {
            Self::BradleyTerry(loss) => match context.margin.clone() {
                None => loss.forward(chosen, rejected),
                Some(margin) => loss.forward_with_margin(chosen, rejected, margin),
            },
            Self::UltraInteract(loss) => loss.forward_in(chosen, rejected, context),
            Self::Ldr(loss) => loss.forward(chosen, rejected),
        }
    }
}
