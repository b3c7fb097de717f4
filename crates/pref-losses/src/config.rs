//! Losses chosen by configuration: `{"type": "kto", "beta": 0.1}`.

mod paired;
mod reward;
mod scored;
mod unpaired;

pub use paired::{PreferenceLoss, PreferenceLossConfig};
pub use reward::{RewardContext, RewardLoss, RewardLossConfig};
pub use scored::{ScoredLoss, ScoredLossConfig};
pub use unpaired::{UnpairedLoss, UnpairedLossConfig};
