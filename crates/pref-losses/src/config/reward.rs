//! Losses of reward models over pairs.

use crate::loss::RewardLoss;
use crate::norm_bt::NormBtConfig;
use crate::reward::{BradleyTerryConfig, LdrConfig, UltraInteractRewardConfig};

losses! {
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
    pub enum RewardLossConfig => RewardLoss {
        /// [`BradleyTerry`](crate::BradleyTerry).
        BradleyTerry(BradleyTerryConfig), "bradley_terry", init;
        /// [`UltraInteractReward`](crate::UltraInteractReward): Bradley-Terry plus direct rewards.
        UltraInteract(UltraInteractRewardConfig), "ultra_interact", init;
        /// [`Ldr`](crate::Ldr): direct rewards alone.
        Ldr(LdrConfig), "ldr", init;
        /// [`NormBt`](crate::NormBt): Bradley-Terry weighted by distances of representations.
        NormBt(NormBtConfig), "norm_bt", init;
    }
}
