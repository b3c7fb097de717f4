//! Settings that all trainers share.

use serde::{Deserialize, Serialize};

use crate::{Decay, Error, Precision, Result};

/// The policy for a step whose loss or gradient is not a finite number. It is reported in every case, with the examples
/// of the step and the term that went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum NotFinitePolicy {
    /// End the run with an error
    #[default]
    Stop,
    /// Leave the weights as they are and go on with the next step
    Skip,
    /// Update the weights with what there is, to see what becomes of it
    Continue,
}

/// How parameters are moved by their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Optimizer {
    /// AdamW: two moments of every parameter, 8 bytes
    #[default]
    Adamw,
    /// Adafactor: means of squares by row and column, next to nothing
    ///
    /// arXiv 1804.04235 with the learning rate of the run in place of a relative one, without a first moment; updates are
    /// scaled down to a root mean square of 1. Several ranks each update the whole model.
    Adafactor,
}

/// The parameters that weight decay makes smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum WeightDecayOn {
    /// Matrices, embeddings among them; not the weights of norms and not biases
    #[default]
    Matrices,
    /// All that is trained
    All,
}

/// How a model is optimized, whatever the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Peak learning rate. Default 1e-5.
    pub learning_rate: f64,
    /// Shape of the learning rate after warm-up. Default cosine.
    pub decay: Decay,
    /// Share of the steps that warm up. Default 0.1, as in the paper.
    pub warmup_ratio: f64,
    /// How parameters are moved by their gradients. Default AdamW.
    pub optimizer: Optimizer,
    /// Decoupled weight decay. Default 0.
    pub weight_decay: f32,
    /// The parameters that it makes smaller. Default matrices.
    pub weight_decay_on: WeightDecayOn,
    /// Decay of AdamW's first moment. Default 0.9.
    pub beta_1: f32,
    /// Decay of AdamW's second moment. Default 0.999; short runs with high learning rates want less.
    pub beta_2: f32,
    /// Added to the root of AdamW's second moment. Default 1e-8.
    pub epsilon: f32,
    /// Gradients are scaled down to this global norm; 0 switches that off. Default 1.
    pub max_grad_norm: f64,
    /// Passes over the data. Default 1.
    pub epochs: usize,
    /// Ends the run after this many steps, if the epochs have more. Default none.
    pub max_steps: Option<usize>,
    /// Trees per optimizer step. Default 16.
    pub trees_per_step: usize,
    /// Takes as many trees into a step as fill this many forests of `token_budget` tokens, in place of `trees_per_step`; the
    /// order changes a little for it. Default none.
    pub forests_per_step: Option<usize>,
    /// Tokens that go through the model at once; a step that has more is split and its gradients are added. Default 8192.
    pub token_budget: usize,
    /// Longest path allowed, in tokens; longer ones are an error before training. Default 4096.
    pub max_path_tokens: usize,
    /// Positions whose logits exist at the same time. Default 64.
    pub log_prob_chunk: usize,
    /// Keep the inputs of the model's blocks alone and compute each block again for its gradients: less memory for a third
    /// more time. Changes nothing else. Default off.
    pub recompute_activations: bool,
    /// The number type that is computed in. Default that of the weights.
    pub precision: Precision,
    /// The policy when a loss or gradient is not a finite number. Default stop.
    pub on_not_finite: NotFinitePolicy,
    /// Seed of the order of the trees. Default 0.
    pub seed: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-5,
            decay: Decay::Cosine,
            warmup_ratio: 0.1,
            optimizer: Optimizer::Adamw,
            weight_decay: 0.0,
            weight_decay_on: WeightDecayOn::Matrices,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            max_grad_norm: 1.0,
            epochs: 1,
            max_steps: None,
            trees_per_step: 16,
            forests_per_step: None,
            token_budget: 8192,
            max_path_tokens: 4096,
            log_prob_chunk: 64,
            recompute_activations: false,
            precision: Precision::Full,
            on_not_finite: NotFinitePolicy::Stop,
            seed: 0,
        }
    }
}

impl TrainingConfig {
    /// Checks every setting's range.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the first field that is outside its range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field, value: String, problem| {
            Err(Error::Config {
                field,
                value,
                problem,
            })
        };
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return refuse(
                "learning_rate",
                self.learning_rate.to_string(),
                "must be above 0",
            );
        }
        if !(0.0..=1.0).contains(&self.warmup_ratio) {
            return refuse(
                "warmup_ratio",
                self.warmup_ratio.to_string(),
                "must be in 0..=1",
            );
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return refuse(
                "weight_decay",
                self.weight_decay.to_string(),
                "must not be negative",
            );
        }
        if !(self.max_grad_norm.is_finite() && self.max_grad_norm >= 0.0) {
            return refuse(
                "max_grad_norm",
                self.max_grad_norm.to_string(),
                "must not be negative",
            );
        }
        for (field, value) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            if !(0.0..1.0).contains(&value) {
                return refuse(field, value.to_string(), "must be at least 0 and below 1");
            }
        }
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return refuse("epsilon", self.epsilon.to_string(), "must be above 0");
        }
        for (field, value) in [
            ("epochs", self.epochs),
            ("trees_per_step", self.trees_per_step),
            ("forests_per_step", self.forests_per_step.unwrap_or(1)),
            ("token_budget", self.token_budget),
            ("max_path_tokens", self.max_path_tokens),
            ("log_prob_chunk", self.log_prob_chunk),
        ] {
            if value == 0 {
                return refuse(field, value.to_string(), "must be at least 1");
            }
        }
        Ok(())
    }

    /// Optimizer steps for this many trees, in steps of `trees_per_step`. With `forests_per_step` it depends on the trees:
    /// [`plan`](crate::plan) tells.
    pub fn steps(&self, trees: usize) -> usize {
        let steps = trees.div_ceil(self.trees_per_step);
        let steps = steps.saturating_mul(self.epochs);
        self.max_steps.map_or(steps, |most| steps.min(most))
    }
}
