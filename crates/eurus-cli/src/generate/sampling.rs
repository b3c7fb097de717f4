//! How tokens are drawn, whoever asks.

use clap::Args;
use eurus::chat::Sampling;

/// How tokens are drawn.
#[derive(Debug, Args)]
pub struct SamplingOptions {
    /// Divides the logits; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f32,

    /// Keep the likeliest tokens whose probabilities add up to this
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f32,

    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: usize,
}

impl SamplingOptions {
    /// From a seed, without texts that end an answer.
    pub fn sampling(&self, seed: u64) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens: self.max_tokens,
            stop: Vec::new(),
            seed,
        }
    }
}
