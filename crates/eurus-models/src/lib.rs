//! Llama-architecture decoders over packed token forests.
mod batch;
mod chat;
mod checkpoint;
pub mod config;
pub mod decoder;
mod error;
pub mod generate;
mod model;
pub mod ops;
mod reward;
pub mod rope;

pub use batch::{ForestBatch, int_tensor};
pub use chat::LocalChatModel;
pub use checkpoint::Checkpoint;
pub use config::DecoderConfig;
pub use decoder::Decoder;
pub use error::{Error, Result};
pub use model::{ForestModel, ForestRewardModel};
pub use reward::RewardModel;
