//! The shape of a decoder, as written in `config.json`.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// The family a checkpoint belongs to. They share one decoder; the defaults of missing fields differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// Llama, CodeLlama, and everything exported as such.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
}

/// How rotary frequencies are stretched for long contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Frequencies as trained.
    None,
    /// Every frequency divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3: low frequencies divided, high ones kept, a linear blend between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original_positions / low` are divided.
        low: f64,
        /// Wavelengths below `original_positions / high` are kept.
        high: f64,
        /// Context length before stretching.
        original_positions: f64,
    },
}

/// The shape of a Llama-architecture decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Family.
    pub architecture: Architecture,
    /// Token ids.
    pub vocab_size: usize,
    /// Features of the residual stream, `d`.
    pub hidden_size: usize,
    /// Features inside the gated MLP.
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
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Longest path the model was made for.
    pub max_position_embeddings: usize,
    /// Every field of the `config.json` this was read from, to be carried along on export.
    pub source: Map<String, Value>,
}

/// The fields of `config.json` that decide the result.
#[derive(Deserialize)]
struct Fields {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeFields>,
    rope_parameters: Option<RopeFields>,
    sliding_window: Option<usize>,
    #[serde(default)]
    tie_word_embeddings: bool,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    rope_interleaved: bool,
    initializer_range: Option<f64>,
    max_position_embeddings: Option<usize>,
    quantization_config: Option<Value>,
}

#[derive(Deserialize)]
struct RopeFields {
    rope_type: Option<String>,
    /// The older name of `rope_type`. Files that were read and written again often have both.
    #[serde(rename = "type")]
    legacy_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
}

fn refuse(field: &'static str, value: impl ToString, problem: impl Into<String>) -> Error {
    Error::Config {
        field,
        value: value.to_string(),
        problem: problem.into(),
    }
}

impl RopeFields {
    fn scaling(&self) -> Result<RopeScaling> {
        let number = |value: Option<f64>, field: &'static str| {
            value.ok_or_else(|| refuse(field, "missing", "and this rope_type needs it"))
        };
        let rope_type = match (&self.rope_type, &self.legacy_type) {
            (Some(rope_type), Some(legacy)) if rope_type != legacy => {
                return Err(refuse(
                    "rope_scaling.rope_type",
                    rope_type,
                    format!("but rope_scaling.type is {legacy}; keep the right one"),
                ));
            }
            (Some(rope_type), _) | (None, Some(rope_type)) => rope_type,
            (None, None) => "default",
        };
        match rope_type {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear {
                factor: number(self.factor, "rope_scaling.factor")?,
            }),
            "llama3" => Ok(RopeScaling::Llama3 {
                factor: number(self.factor, "rope_scaling.factor")?,
                low: number(self.low_freq_factor, "rope_scaling.low_freq_factor")?,
                high: number(self.high_freq_factor, "rope_scaling.high_freq_factor")?,
                original_positions: number(
                    self.original_max_position_embeddings,
                    "rope_scaling.original_max_position_embeddings",
                )?,
            }),
            other => Err(refuse(
                "rope_scaling.rope_type",
                other,
                "supported are default, linear and llama3",
            )),
        }
    }
}

impl DecoderConfig {
    /// A fresh Llama shape with tied embeddings and `4 * hidden` positions; change its fields for anything else.
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
            return Err(Error::MissingFile {
                folder: folder.into(),
                file: "config.json",
            });
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
        let fields: Fields =
            serde_json::from_value(Value::Object(source.clone())).map_err(|source| {
                Error::Json {
                    path: "config.json".into(),
                    source,
                }
            })?;
        let architecture = match fields.model_type.as_deref() {
            Some("llama") => Architecture::Llama,
            Some("mistral") => Architecture::Mistral,
            other => {
                return Err(refuse(
                    "model_type",
                    other.unwrap_or("missing"),
                    "supported are llama and mistral",
                ));
            }
        };
        if let Some(act) = fields.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(refuse("hidden_act", act, "supported is silu"));
        }
        for (field, set) in [
            ("attention_bias", fields.attention_bias),
            ("mlp_bias", fields.mlp_bias),
            ("rope_interleaved", fields.rope_interleaved),
        ] {
            if set {
                return Err(refuse(field, true, "supported is false"));
            }
        }
        if fields.quantization_config.is_some() {
            return Err(refuse(
                "quantization_config",
                "set",
                "export the weights in float32, float16 or bfloat16 first",
            ));
        }
        let heads = fields.num_attention_heads;
        // A missing key and an explicit null differ: Mistral's default is 8, null means one per query head.
        let kv_heads = match (fields.num_key_value_heads, architecture) {
            (Some(kv_heads), _) => kv_heads,
            (None, Architecture::Mistral) if !source.contains_key("num_key_value_heads") => 8,
            (None, _) => heads,
        };
        let sliding_window = match architecture {
            Architecture::Llama => None,
            Architecture::Mistral if !source.contains_key("sliding_window") => Some(4096),
            Architecture::Mistral => fields.sliding_window,
        };
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(refuse(
                "num_key_value_heads",
                kv_heads,
                format!("it must divide num_attention_heads = {heads}"),
            ));
        }
        let head_dim = fields.head_dim.unwrap_or(fields.hidden_size / heads);
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return Err(refuse("head_dim", head_dim, "it must be even"));
        }
        let rope = fields.rope_parameters.or(fields.rope_scaling);
        let rope_theta = fields
            .rope_theta
            .or(rope.as_ref().and_then(|rope| rope.rope_theta))
            .unwrap_or(10_000.0);
        Ok(Self {
            architecture,
            vocab_size: fields.vocab_size,
            hidden_size: fields.hidden_size,
            intermediate_size: fields.intermediate_size,
            layers: fields.num_hidden_layers,
            heads,
            kv_heads,
            head_dim,
            rms_norm_epsilon: fields.rms_norm_eps.unwrap_or(1e-6),
            rope_theta,
            rope_scaling: rope.map_or(Ok(RopeScaling::None), |rope| rope.scaling())?,
            sliding_window,
            tie_word_embeddings: fields.tie_word_embeddings,
            initializer_range: fields.initializer_range.unwrap_or(0.02),
            max_position_embeddings: fields.max_position_embeddings.unwrap_or(2048),
            source,
        })
    }

    /// The `config.json` of this shape: the fields it was read from, or fresh ones.
    pub fn to_json(&self) -> Map<String, Value> {
        if !self.source.is_empty() {
            return self.source.clone();
        }
        let (model_type, class) = match self.architecture {
            Architecture::Llama => ("llama", "LlamaForCausalLM"),
            Architecture::Mistral => ("mistral", "MistralForCausalLM"),
        };
        let rope_scaling = match self.rope_scaling {
            RopeScaling::None => Value::Null,
            RopeScaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            RopeScaling::Llama3 {
                factor,
                low,
                high,
                original_positions,
            } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": original_positions as u64,
            }),
        };
        let fields = json!({
            "architectures": [class],
            "model_type": model_type,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": self.rms_norm_epsilon,
            "rope_theta": self.rope_theta,
            "rope_scaling": rope_scaling,
            "sliding_window": self.sliding_window,
            "attention_bias": false,
            "mlp_bias": false,
            "tie_word_embeddings": self.tie_word_embeddings,
            "initializer_range": self.initializer_range,
            "max_position_embeddings": self.max_position_embeddings,
            "torch_dtype": "float32",
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}
