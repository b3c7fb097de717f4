//! Tree-native training.
mod config;
pub mod data;
mod error;
pub mod events;
pub mod log_probs;
mod optimizer;
mod packing;
pub mod preference;
pub mod reward;
mod run;
mod schedule;
pub mod sft;

pub use config::Optimization;
pub use data::{NodePair, PairedTree, SftTree, add_mismatched};
pub use error::{Error, Result};
pub use events::{Event, StepProgress};
pub use preference::{PreferenceTrainer, ReferenceLogProbs};
pub use reward::{PairRewards, RewardTrainer, leaf_rewards, pair_rewards};
pub use schedule::{Decay, Schedule};
pub use sft::SftTrainer;
