//! Shapes of models, with random weights.

use clap::ValueEnum;
use eurus_models::DecoderConfig;

/// The shape of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// SmolLM2-135M
    #[value(name = "smollm2-135m")]
    SmolLm2,
    /// A Mistral of 1.1 billion parameters
    #[value(name = "mistral-1b")]
    Mistral1B,
    /// Mistral-7B-v0.1; its window is wider than the paths of a bench
    #[value(name = "mistral-7b")]
    Mistral7B,
}

impl Shape {
    /// The configuration, with another vocabulary if one is given.
    pub fn config(self, vocab: Option<usize>) -> DecoderConfig {
        match self {
            Self::SmolLm2 => DecoderConfig {
                intermediate_size: 1536,
                kv_heads: 3,
                rope_theta: 100_000.0,
                tie_word_embeddings: true,
                max_position_embeddings: 8192,
                initializer_range: 1.0 / 24.0,
                ..DecoderConfig::llama(vocab.unwrap_or(49152), 576, 30, 9)
            },
            Self::Mistral1B => DecoderConfig {
                intermediate_size: 5632,
                ..mistral(vocab, 2048, 22)
            },
            Self::Mistral7B => DecoderConfig {
                intermediate_size: 14336,
                ..mistral(vocab, 4096, 32)
            },
        }
    }
}

fn mistral(vocab: Option<usize>, hidden: usize, layers: usize) -> DecoderConfig {
    DecoderConfig {
        kv_heads: 8,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        max_position_embeddings: 32768,
        initializer_range: 0.02,
        ..DecoderConfig::llama(vocab.unwrap_or(32000), hidden, layers, 32)
    }
}
