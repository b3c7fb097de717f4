//! The shape of a decoder, as written in `config.json`.

mod fields;
mod rope;
mod rope_settings;
mod size;
mod unknown;

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{Error, Result};

pub use rope::{RopeScaling, Yarn};

/// The family a checkpoint belongs to. They share one decoder; what a missing field means differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// Llama, CodeLlama, and everything exported as such.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Mixtral: Mistral with a sparse mixture of experts in place of the MLP.
    Mixtral,
    /// Qwen2: Llama with biases of queries, keys and values.
    Qwen2,
    /// Qwen3: Llama with a norm of every query and key head.
    Qwen3,
}

impl Architecture {
    const ALL: [Self; 5] = [
        Self::Llama,
        Self::Mistral,
        Self::Mixtral,
        Self::Qwen2,
        Self::Qwen3,
    ];

    /// The `model_type` of `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Mixtral => "mixtral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// The prefix of this family's class names: `LlamaForCausalLM` starts with `Llama`.
    pub fn class_prefix(self) -> &'static str {
        match self {
            Self::Llama => "Llama",
            Self::Mistral => "Mistral",
            Self::Mixtral => "Mixtral",
            Self::Qwen2 => "Qwen2",
            Self::Qwen3 => "Qwen3",
        }
    }

    fn from_model_type(model_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.model_type() == model_type)
    }
}

/// Which linear layers add a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Query, key and value projections.
    pub queries_keys_values: bool,
    /// The attention's output projection.
    pub attention_output: bool,
    /// The three projections of the MLP.
    pub mlp: bool,
}

/// A sparse mixture of experts (Mixtral, arXiv 2401.04088).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixtureOfExperts {
    /// Experts of a layer.
    pub experts: usize,
    /// Experts that each token goes through.
    pub experts_per_token: usize,
    /// Factor of the load-balancing loss; 0 leaves it out.
    pub auxiliary_loss_coefficient: f64,
}

/// The shape of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Family.
    pub architecture: Architecture,
    /// Token ids.
    pub vocab_size: usize,
    /// Features of the residual stream, `d`.
    pub hidden_size: usize,
    /// Features inside the gated MLP, or inside each expert.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Features of a head, even.
    pub head_dim: usize,
    /// Added to the mean square in the norms.
    pub rms_norm_epsilon: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Stretching of the rotary frequencies.
    pub rope_scaling: RopeScaling,
    /// Positions a query sees, itself included.
    pub sliding_window: Option<usize>,
    /// The first layers that see everything in spite of `sliding_window`.
    pub full_attention_layers: usize,
    /// Linear layers with a bias.
    pub biases: Biases,
    /// Whether every query and key head is normed before its rotation.
    pub head_norms: bool,
    /// The mixture of experts in place of the MLP, if there is one.
    pub mixture: Option<MixtureOfExperts>,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Longest path the model was made for.
    pub max_position_embeddings: usize,
    /// Every field of the `config.json` this was read from, to be carried along on export.
    pub source: Map<String, Value>,
}

fn refuse(field: impl Into<String>, value: impl ToString, problem: impl Into<String>) -> Error {
    Error::Config {
        field: field.into(),
        value: value.to_string(),
        problem: problem.into(),
    }
}

impl DecoderConfig {
    /// A fresh Llama shape with tied embeddings and 2048 positions; change its fields for anything else.
    pub fn llama(vocab_size: usize, hidden_size: usize, layers: usize, heads: usize) -> Self {
        Self {
            architecture: Architecture::Llama,
            vocab_size,
            hidden_size,
            intermediate_size: (hidden_size * 8 / 3).next_multiple_of(16),
            layers,
            heads,
            kv_heads: heads,
            head_dim: hidden_size / heads,
            rms_norm_epsilon: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            sliding_window: None,
            full_attention_layers: 0,
            biases: Biases::default(),
            head_norms: false,
            mixture: None,
            tie_word_embeddings: true,
            initializer_range: 0.02,
            max_position_embeddings: 2048,
            source: Map::new(),
        }
    }

    /// Reads `config.json` of a checkpoint folder.
    ///
    /// # Errors
    ///
    /// When the file is missing or malformed, or a field has a value that would change the result and is not supported:
    /// a field is used or refused, never ignored.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        if !path.is_file() {
            return Err(crate::checkpoint::missing_file(folder, "config.json"));
        }
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "reading"))?;
        let source: Map<String, Value> =
            serde_json::from_str(&text).map_err(|source| Error::Json {
                path: path.clone(),
                source,
            })?;
        Self::from_json(source).map_err(|error| match error {
            Error::Json { source, .. } => Error::Json { path, source },
            other => other,
        })
    }

    /// Reads the fields of a `config.json`.
    ///
    /// # Errors
    ///
    /// As [`from_folder`](Self::from_folder).
    pub fn from_json(source: Map<String, Value>) -> Result<Self> {
        fields::read(source)
    }

    /// Tokens of the longest path that the model reads, stretching included: linear and dynamic scaling stretch
    /// `max_position_embeddings`, YaRN its original length.
    pub fn context_length(&self) -> usize {
        let stretched = match &self.rope_scaling {
            RopeScaling::Linear { factor } | RopeScaling::Dynamic { factor } => {
                factor * self.max_position_embeddings as f64
            }
            RopeScaling::Yarn(yarn) => yarn.factor * yarn.original_positions,
            RopeScaling::None | RopeScaling::Llama3 { .. } | RopeScaling::LongRope { .. } => 0.0,
        };
        self.max_position_embeddings.max(stretched as usize)
    }

    /// The sliding window of one layer, if it has one.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        self.sliding_window
            .filter(|_| layer >= self.full_attention_layers)
    }

    /// The class that the `config.json` it was read from names, `LlamaForCausalLM` for example.
    pub(crate) fn class(&self) -> Option<&str> {
        self.source.get("architectures")?.get(0)?.as_str()
    }

    /// The `config.json` of this shape: the fields it was read from, or fresh ones.
    pub fn to_json(&self) -> Map<String, Value> {
        if !self.source.is_empty() {
            return self.source.clone();
        }
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| {
            fields.insert(name.into(), value);
        };
        let class = format!("{}ForCausalLM", self.architecture.class_prefix());
        set("architectures", json!([class]));
        set("model_type", json!(self.architecture.model_type()));
        set("vocab_size", json!(self.vocab_size));
        set("hidden_size", json!(self.hidden_size));
        set("intermediate_size", json!(self.intermediate_size));
        set("num_hidden_layers", json!(self.layers));
        set("num_attention_heads", json!(self.heads));
        set("num_key_value_heads", json!(self.kv_heads));
        set("head_dim", json!(self.head_dim));
        set("hidden_act", json!("silu"));
        set("rms_norm_eps", json!(self.rms_norm_epsilon));
        set("rope_theta", json!(self.rope_theta));
        set("rope_scaling", self.rope_scaling.to_json());
        set("sliding_window", json!(self.sliding_window));
        set("tie_word_embeddings", json!(self.tie_word_embeddings));
        set("initializer_range", json!(self.initializer_range));
        set(
            "max_position_embeddings",
            json!(self.max_position_embeddings),
        );
        set("torch_dtype", json!("float32"));
        match self.architecture {
            Architecture::Llama => {
                set("attention_bias", json!(self.biases.queries_keys_values));
                set("mlp_bias", json!(self.biases.mlp));
            }
            Architecture::Qwen2 | Architecture::Qwen3 => {
                set("use_sliding_window", json!(self.sliding_window.is_some()));
                set("max_window_layers", json!(self.full_attention_layers));
                if self.architecture == Architecture::Qwen3 {
                    set("attention_bias", json!(self.biases.queries_keys_values));
                }
            }
            Architecture::Mistral | Architecture::Mixtral => {}
        }
        if let Some(mixture) = self.mixture {
            let coefficient = mixture.auxiliary_loss_coefficient;
            set("num_local_experts", json!(mixture.experts));
            set("num_experts_per_tok", json!(mixture.experts_per_token));
            set("router_aux_loss_coef", json!(coefficient));
            set("output_router_logits", json!(coefficient != 0.0));
        }
        fields
    }
}
