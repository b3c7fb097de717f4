//! The cost of forests for a model: floating-point operations of matrix products, a multiplication and an addition
//! being two, and the numbers that are kept.

use std::ops::Add;

#[cfg(any(feature = "cuda", feature = "wgpu"))]
use burn::backend::DispatchDevice;
use burn::tensor::Device;
use eurus_models::DecoderConfig;
use eurus_models::lora::{LoraConfig, SavedModule};
use token_forest::PackedForest;

use crate::{Optimizer, Precision, TrainingConfig};

/// Counts of tokens, targets and keys that make forests costly, whatever the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Tokens that go through the model.
    pub tokens: usize,
    /// Tokens that are predicted.
    pub targets: usize,
    /// Keys that all queries see, in a layer without a sliding window.
    pub keys: usize,
    /// Keys that all queries see, in a layer with a sliding window.
    pub keys_in_window: usize,
}

impl Work {
    /// That of a forest, for layers whose sliding window, if they have one, is so long.
    pub fn of(forest: &PackedForest, window: Option<usize>) -> Self {
        let seen = |limit: usize| {
            let of_position = |&position: &u32| (position as usize + 1).min(limit);
            forest.positions.iter().map(of_position).sum()
        };
        let keys = seen(usize::MAX);
        Self {
            tokens: forest.len(),
            targets: forest.targets.len(),
            keys,
            keys_in_window: window.map_or(keys, seen),
        }
    }
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tokens: self.tokens + other.tokens,
            targets: self.targets + other.targets,
            keys: self.keys + other.keys,
            keys_in_window: self.keys_in_window + other.keys_in_window,
        }
    }
}

/// The kind of output computed from the last hidden states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// Log-probs of the targets, through the output projection.
    LanguageModel,
    /// Rewards, at no cost to speak of.
    Reward,
}

/// The kind of device that a run computes on, as far as memory is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Machine {
    /// A processor: layers keep all that their backward passes read.
    #[default]
    Cpu,
    /// CUDA, Vulkan or WebGPU: layers make some of it again.
    Gpu,
}

impl Machine {
    /// That of a device.
    pub fn of(device: &Device) -> Self {
        match device.as_dispatch() {
            #[cfg(any(feature = "cuda", feature = "wgpu"))]
            DispatchDevice::Cube(_) => Self::Gpu,
            _ => Self::Cpu,
        }
    }
}

/// A model and what is trained of it.
#[derive(Debug, Clone, Copy)]
pub struct Costs<'a> {
    /// The model's shape.
    pub config: &'a DecoderConfig,
    /// The adapters that are trained in place of it, if there are any.
    pub adapters: Option<&'a LoraConfig>,
    /// What is computed of the last hidden states.
    pub objective: Objective,
    /// Whether each layer is computed again for its gradients.
    pub recompute: bool,
    /// The numbers that are computed with.
    pub precision: Precision,
    /// What parameters are moved by.
    pub optimizer: Optimizer,
    /// Where it computes.
    pub machine: Machine,
}

impl<'a> Costs<'a> {
    /// Those of a run with these settings on a processor.
    pub fn new(
        config: &'a DecoderConfig,
        settings: &TrainingConfig,
        adapters: Option<&'a LoraConfig>,
        objective: Objective,
    ) -> Self {
        Self {
            config,
            adapters,
            objective,
            recompute: settings.recompute_activations,
            precision: settings.precision,
            optimizer: settings.optimizer,
            machine: Machine::Cpu,
        }
    }

    /// The same on another machine.
    pub fn on(self, machine: Machine) -> Self {
        Self { machine, ..self }
    }

    /// Activations of one token in one layer.
    pub fn layer_activations_per_token(&self) -> usize {
        match (self.machine, self.adapters) {
            (Machine::Gpu, None) => self.config.layer_activations_per_token_on_gpu(),
            // An adapter keeps its input, on a GPU too.
            _ => self.config.layer_activations_per_token(),
        }
    }

    /// Parameters of the model, adapters included.
    pub fn parameters(&self) -> usize {
        let model = match self.objective {
            // A tied output projection becomes a matrix of its own where one of the two is trained.
            Objective::LanguageModel if self.config.tie_word_embeddings && self.saved() > 0 => {
                self.config.parameters() + self.config.output_weights()
            }
            Objective::LanguageModel => self.config.parameters(),
            Objective::Reward => self.config.body_parameters() + self.config.hidden_size,
        };
        model + self.adapter_parameters()
    }

    /// Parameters that have gradients.
    pub fn trained_parameters(&self) -> usize {
        match (self.adapters, self.objective) {
            (None, _) => self.parameters(),
            (Some(_), Objective::LanguageModel) => self.adapter_parameters() + self.saved(),
            (Some(_), Objective::Reward) => {
                self.adapter_parameters() + self.saved() + self.config.hidden_size
            }
        }
    }

    /// Parameters of what is trained whole beside adapters.
    fn saved(&self) -> usize {
        self.adapters
            .map_or(0, |adapters| self.config.saved_module_parameters(adapters))
    }

    /// Numbers that the optimizer keeps.
    pub fn moments(&self) -> usize {
        if self.optimizer == Optimizer::Adamw {
            return 2 * self.trained_parameters();
        }
        let config = self.config;
        let head = match self.objective {
            Objective::LanguageModel => 0,
            Objective::Reward => 1 + config.hidden_size,
        };
        match (self.adapters, self.objective) {
            (Some(adapters), _) => config.adapter_rows_and_columns(adapters) + head,
            (None, Objective::LanguageModel) => config.rows_and_columns(),
            (None, Objective::Reward) => config.body_rows_and_columns() + head,
        }
    }

    /// The most gradients that there are at once when activations are computed again: of a layer, or of the embedding.
    pub fn largest_gradient(&self) -> usize {
        match self.adapters {
            Some(_) if self.saved() > 0 => self.config.output_weights(),
            Some(_) => self.adapter_parameters() / self.config.layers.max(1),
            None => self
                .config
                .layer_parameters()
                .max(self.config.output_weights()),
        }
    }

    /// Whether there is an output projection.
    pub fn has_logits(&self) -> bool {
        self.objective == Objective::LanguageModel
    }

    fn adapter_parameters(&self) -> usize {
        self.adapters
            .map_or(0, |adapters| self.config.adapter_parameters(adapters))
    }

    /// Operations of a pass without gradients.
    pub fn forward(&self, work: Work) -> f64 {
        self.forward_of_layers(work) + 2.0 * self.of_output(work)
    }

    fn forward_of_layers(&self, work: Work) -> f64 {
        2.0 * (self.of_layers(work) + self.of_adapters(work)) + 4.0 * self.of_attention(work)
    }

    /// Operations of a pass with gradients.
    ///
    /// A product with a weight costs as much again for its input's gradient and, where it is trained, once more for
    /// its own. Attention computes its scores again and then four products where forward has two; the output
    /// projection computes its logits again.
    pub fn training(&self, work: Work) -> f64 {
        let (layers, output) = match self.adapters {
            None => (4.0, 6.0),
            Some(it) if it.modules_to_save.contains(&SavedModule::LmHead) => (2.0, 6.0),
            Some(_) => (2.0, 4.0),
        };
        let again = if self.recompute {
            self.forward_of_layers(work)
        } else {
            0.0
        };
        self.forward(work)
            + again
            + layers * self.of_layers(work)
            + 4.0 * self.of_adapters(work)
            + 10.0 * self.of_attention(work)
            + output * self.of_output(work)
    }

    fn of_layers(&self, work: Work) -> f64 {
        work.tokens as f64 * self.config.layer_weights_per_token() as f64
    }

    fn of_adapters(&self, work: Work) -> f64 {
        let weights = self.adapters.map_or(0, |adapters| {
            self.config.adapter_weights_per_token(adapters)
        });
        work.tokens as f64 * weights as f64
    }

    fn of_output(&self, work: Work) -> f64 {
        match self.has_logits() {
            true => work.targets as f64 * self.config.output_weights() as f64,
            false => 0.0,
        }
    }

    fn of_attention(&self, work: Work) -> f64 {
        let keys: f64 = (0..self.config.layers)
            .map(|layer| match self.config.window_of(layer) {
                Some(_) => work.keys_in_window as f64,
                None => work.keys as f64,
            })
            .sum();
        keys * (self.config.heads * self.config.head_dim) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use token_forest::TokenTree;

    fn fork() -> PackedForest {
        let mut tree = TokenTree::new(vec![1, 2, 3], false);
        tree.push(0, vec![4, 5], true);
        tree.push(0, vec![6], true);
        PackedForest::from_trees([&tree]).expect("a tree")
    }

    #[test]
    fn siblings_see_their_history_and_not_each_other() {
        let work = Work::of(&fork(), Some(2));
        assert_eq!((work.tokens, work.targets), (6, 3));
        assert_eq!(work.keys, (1 + 2 + 3) + (4 + 5) + 4);
        assert_eq!(work.keys_in_window, 1 + 5 * 2);
    }

    #[test]
    fn training_costs_three_forward_passes_and_what_is_computed_again() {
        let config = DecoderConfig::llama(32, 16, 2, 2);
        let of = |objective| Costs {
            config: &config,
            adapters: None,
            objective,
            recompute: false,
            precision: Precision::Full,
            optimizer: Optimizer::Adamw,
            machine: Machine::Cpu,
        };
        let mut work = Work::of(&fork(), None);
        work.keys = 0;
        let layers = (6 * config.layer_weights_per_token()) as f64;
        assert_eq!(of(Objective::Reward).forward(work), 2.0 * layers);
        assert_eq!(of(Objective::Reward).training(work), 6.0 * layers);
        let output = (3 * config.output_weights()) as f64;
        let language_model = of(Objective::LanguageModel);
        assert_eq!(language_model.training(work), 6.0 * layers + 8.0 * output);
        let recomputed = Costs {
            recompute: true,
            ..of(Objective::Reward)
        };
        assert_eq!(recomputed.training(work), 8.0 * layers);
    }
}
