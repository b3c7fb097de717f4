//! An estimate of the most memory that a run holds.

use eurus::train::Optimization;
use serde::Serialize;

use super::work::{Costs, Objective, Work};

/// Bytes of a number; training is in float32.
const NUMBER: usize = 4;

/// Where the memory of a run goes at its peak, in bytes.
///
/// The peak is where the backward pass of the largest forest begins: all activations are there, and with them the
/// weights, both moments of AdamW and the gradients of the forests before. Activations are what each operation keeps
/// ([`kept_by_layer`](eurus::models::DecoderConfig::kept_by_layer)) times the tokens of the forest. What is not counted:
/// buffers inside of operations, the data, the program. Beside the peaks that
/// runs of SmolLM2-135M reported, the estimate was between 11 % too low, where activations are computed again, and 6 % too
/// high.
#[derive(Debug, Serialize)]
pub struct Memory {
    pub parameters: usize,
    pub trained_parameters: usize,
    pub weights: usize,
    /// AdamW's two moments.
    pub moments: usize,
    /// Those of the forests before, and those that the backward pass has yet to make room for.
    pub gradients: usize,
    pub activations: usize,
    /// The block of logits that exists at a time.
    pub logits: usize,
    pub total: usize,
}

impl Memory {
    /// `largest` is the forest with the most tokens; with `several_forests` a step adds up the gradients of some.
    pub fn estimate(
        costs: &Costs<'_>,
        settings: &Optimization,
        largest: Work,
        several_forests: bool,
    ) -> Self {
        let config = costs.config;
        let parameters = costs.parameters();
        let trained = costs.trained_parameters();
        // All layers, or their inputs and the one that is computed again.
        let of_layers = match settings.recompute_activations {
            false => config.layers * config.kept_by_layer(),
            true => config.layers * config.hidden_size + config.kept_by_layer(),
        };
        // The last norm's input and output, and the tables of rotations.
        let of_body = of_layers + 2 * config.hidden_size + config.head_dim;
        let of_targets = match costs.objective {
            Objective::LanguageModel => largest.targets * (config.hidden_size + 2),
            Objective::Reward => 0,
        };
        let logits = match costs.objective {
            Objective::LanguageModel => {
                settings.log_prob_chunk.min(largest.targets) * config.vocab_size
            }
            Objective::Reward => 0,
        };
        let gradients = if several_forests { 2 } else { 1 } * trained;
        let mut memory = Self {
            parameters,
            trained_parameters: trained,
            weights: NUMBER * parameters,
            moments: NUMBER * 2 * trained,
            gradients: NUMBER * gradients,
            activations: NUMBER * (largest.tokens * of_body + of_targets),
            logits: NUMBER * logits,
            total: 0,
        };
        memory.total =
            memory.weights + memory.moments + memory.gradients + memory.activations + memory.logits;
        memory
    }
}
