//! A configuration out of the metadata of a GGUF file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anamnesis::{GgufMetadataArray, GgufMetadataValue};
use serde_json::{Map, Value, json};

use super::names::in_layer;
use super::refuse;
use crate::rope::Frequencies;
use crate::{DecoderConfig, Result, RopeScaling};

/// Keys, after the architecture's name, that are used.
const USED: [&str; 15] = [
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "expert_count",
    "expert_used_count",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "vocab_size",
];

/// Keys of the scaling of rotary frequencies.
const SCALING: [&str; 4] = [
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
    "rope.scaling.original_context_length",
];

/// Keys that do not change the result.
const IRRELEVANT: [&str; 2] = ["rope.scaling.finetuned", "tensor_data_layout"];

/// Factors of Llama 3's stretching that are known: Llama 3.1 and 3.2. Files do not store the settings, only what they
/// make of the frequencies.
const LLAMA3_FACTORS: [f64; 2] = [8.0, 32.0];

/// The metadata of a file of a known architecture.
pub struct Metadata {
    path: PathBuf,
    architecture: String,
    values: HashMap<String, GgufMetadataValue>,
    rope_factors: Option<Vec<f32>>,
}

impl Metadata {
    pub fn new(path: &Path, values: HashMap<String, GgufMetadataValue>) -> Result<Self> {
        let architecture = values
            .get("general.architecture")
            .and_then(GgufMetadataValue::as_string)
            .unwrap_or_default()
            .to_owned();
        if !["llama", "qwen2", "qwen3"].contains(&architecture.as_str()) {
            let problem = format!(
                "general.architecture is {architecture:?}; supported are llama, qwen2 and qwen3"
            );
            return Err(refuse(path, None, problem));
        }
        Ok(Self {
            path: path.into(),
            architecture,
            values,
            rope_factors: None,
        })
    }

    /// Keeps the factors by which the file divides rotary frequencies.
    pub fn set_rope_factors(&mut self, factors: Vec<f32>) {
        self.rope_factors = Some(factors);
    }

    /// The heads whose rows llama.cpp interleaves in this tensor: those of Llama's queries and keys.
    pub fn interleaved_heads(&self, tensor: &str) -> Option<usize> {
        if self.architecture != "llama" {
            return None;
        }
        let key = match in_layer(tensor)?.1 {
            "attn_q" => "attention.head_count",
            "attn_k" if self.get("attention.head_count_kv").is_some() => "attention.head_count_kv",
            "attn_k" => "attention.head_count",
            _ => return None,
        };
        // A missing number is an error, which the configuration reports.
        self.integer(key).ok().flatten().map(|heads| heads as usize)
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn get(&self, name: &str) -> Option<&GgufMetadataValue> {
        self.values.get(&self.key(name))
    }

    fn problem(&self, name: &str, problem: &str) -> crate::Error {
        refuse(&self.path, None, format!("{} {problem}", self.key(name)))
    }

    /// A whole number, or one number for every layer where they are all the same.
    fn integer(&self, name: &str) -> Result<Option<u64>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let integer = match value {
            GgufMetadataValue::I32(value) => u64::try_from(*value).ok(),
            GgufMetadataValue::I64(value) => u64::try_from(*value).ok(),
            GgufMetadataValue::U16(value) => Some((*value).into()),
            GgufMetadataValue::U8(value) => Some((*value).into()),
            GgufMetadataValue::Array(values) => all_equal(values),
            value => value.as_u64().or(value.as_u32().map(u64::from)),
        };
        let told = "is not one whole number for all layers";
        integer.map(Some).ok_or_else(|| self.problem(name, told))
    }

    fn needed(&self, name: &str) -> Result<u64> {
        self.integer(name)?
            .ok_or_else(|| self.problem(name, "is missing"))
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.get(name) {
            None => Ok(None),
            Some(GgufMetadataValue::F32(value)) => Ok(Some(shortest(*value))),
            Some(GgufMetadataValue::F64(value)) => Ok(Some(*value)),
            Some(_) => Err(self.problem(name, "is not a number")),
        }
    }

    /// Refuses keys that nothing is known of: they may change the result.
    fn check_keys(&self) -> Result<()> {
        let known = USED.iter().chain(&SCALING).chain(&IRRELEVANT);
        let known: Vec<String> = known.map(|name| self.key(name)).collect();
        let prefix = self.key("");
        let mut unknown: Vec<&String> = self
            .values
            .keys()
            .filter(|key| key.starts_with(&prefix) && !known.contains(key))
            .collect();
        unknown.sort();
        match unknown.first() {
            None => Ok(()),
            Some(key) => Err(refuse(
                &self.path,
                None,
                format!("metadata `{key}` is not known and may change the result"),
            )),
        }
    }

    /// The configuration. What the tensors tell is passed in: their vocabulary, whether there is no output projection,
    /// and whether queries have a bias.
    pub fn decoder(
        &self,
        vocab_size: Option<usize>,
        tied: bool,
        biased: bool,
    ) -> Result<DecoderConfig> {
        self.check_keys()?;
        let heads = self.needed("attention.head_count")?;
        let hidden = self.needed("embedding_length")?;
        let key_length = match self.integer("attention.key_length")? {
            Some(length) => length,
            None => hidden.checked_div(heads).unwrap_or(0),
        };
        for name in ["attention.value_length", "rope.dimension_count"] {
            if self
                .integer(name)?
                .is_some_and(|length| length != key_length)
            {
                return Err(
                    self.problem(name, "is not the length of a key, which is not supported")
                );
            }
        }
        let rope_theta = self.number("rope.freq_base")?.unwrap_or(10_000.0);
        let window = self.integer("attention.sliding_window")?.filter(|&w| w > 0);
        let experts = self.integer("expert_count")?.filter(|&count| count > 0);
        let model_type = match (self.architecture.as_str(), experts, window) {
            ("llama", Some(_), _) => "mixtral",
            ("llama", None, Some(_)) => "mistral",
            (other, None, _) => other,
            (_, Some(_), _) => {
                let told = "experts are supported for the architecture llama alone";
                return Err(self.problem("expert_count", told));
            }
        };
        if model_type.starts_with("qwen") && window.is_some() {
            return Err(self.problem("attention.sliding_window", "is not supported here"));
        }
        let fields = json!({
            "model_type": model_type,
            "vocab_size": vocab_size,
            "hidden_size": hidden,
            "intermediate_size": self.needed("feed_forward_length")?,
            "num_hidden_layers": self.needed("block_count")?,
            "num_attention_heads": heads,
            "num_key_value_heads": self.integer("attention.head_count_kv")?.unwrap_or(heads),
            "head_dim": key_length,
            "hidden_act": "silu",
            "rms_norm_eps": self.number("attention.layer_norm_rms_epsilon")?,
            "rope_theta": rope_theta,
            "rope_scaling": self.rope_scaling(rope_theta, key_length)?,
            "tie_word_embeddings": tied,
            "max_position_embeddings": self.needed("context_length")?,
            "torch_dtype": "float32",
        });
        let mut fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        if ["mistral", "mixtral"].contains(&model_type) {
            fields.insert("sliding_window".into(), window.into());
        }
        if model_type == "llama" && biased {
            fields.insert("attention_bias".into(), true.into());
        }
        if let Some(experts) = experts {
            fields.insert("num_local_experts".into(), experts.into());
            let used = self.needed("expert_used_count")?;
            fields.insert("num_experts_per_tok".into(), used.into());
        }
        self.add_class(&mut fields)
    }

    fn add_class(&self, fields: &mut Map<String, Value>) -> Result<DecoderConfig> {
        let named = DecoderConfig::from_json(fields.clone()).map_err(|error| match error {
            crate::Error::Json { source, .. } => {
                refuse(&self.path, None, format!("its metadata: {source}"))
            }
            other => other,
        })?;
        let class = format!("{}ForCausalLM", named.architecture.class_prefix());
        fields.insert("architectures".into(), json!([class]));
        DecoderConfig::from_json(fields.clone())
    }

    fn rope_scaling(&self, theta: f64, head_dim: u64) -> Result<Value> {
        let kind = self.get("rope.scaling.type");
        let kind = kind
            .and_then(GgufMetadataValue::as_string)
            .unwrap_or("none");
        let factor = match self.number("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            None => self.number("rope.scale_linear")?,
        };
        if kind != "none" && self.rope_factors.is_some() {
            let told = format!(
                "is {kind}, and there are factors of frequencies too ({})",
                super::names::ROPE_FACTORS
            );
            return Err(self.problem("rope.scaling.type", &told));
        }
        match (kind, factor) {
            ("linear", Some(factor)) => Ok(json!({"rope_type": "linear", "factor": factor})),
            ("none", None) => self.llama3_scaling(theta, head_dim),
            ("none", Some(1.0)) => self.llama3_scaling(theta, head_dim),
            // What llama.cpp computes by itself is the default of `transformers`; keys of its other settings are unknown here.
            ("yarn", Some(factor)) => Ok(json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": self.integer("rope.scaling.original_context_length")?,
            })),
            ("linear" | "yarn", None) => Err(self.problem(
                "rope.scaling.type",
                &format!("is {kind}, and there is no rope.scaling.factor"),
            )),
            ("none", Some(factor)) => Err(self.problem(
                "rope.scaling.type",
                &format!("is none or missing, and there is a factor of {factor}"),
            )),
            (kind, _) => Err(self.problem(
                "rope.scaling.type",
                &format!("is {kind}, which is not supported; none, linear and yarn are"),
            )),
        }
    }

    /// The settings that make the file's factors, or null if it has none.
    fn llama3_scaling(&self, theta: f64, head_dim: u64) -> Result<Value> {
        let Some(factors) = &self.rope_factors else {
            return Ok(Value::Null);
        };
        for factor in LLAMA3_FACTORS {
            let settings = json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            });
            let expected = llama3_divisors(theta, head_dim, factor);
            let close = |(a, b): (&f32, f64)| (f64::from(*a) - b).abs() <= 1e-4 * b;
            if factors.len() == expected.len() && factors.iter().zip(expected).all(close) {
                return Ok(settings);
            }
        }
        Err(refuse(
            &self.path,
            Some(super::names::ROPE_FACTORS.to_owned()),
            "its factors are not those of Llama 3.1 or 3.2, and no other settings are known that make them",
        ))
    }
}

/// By what Llama 3's stretching divides every rotary frequency.
fn llama3_divisors(theta: f64, head_dim: u64, factor: f64) -> Vec<f64> {
    let mut config = DecoderConfig::llama(1, 2, 1, 1);
    config.head_dim = head_dim.min(1 << 16) as usize;
    config.rope_theta = theta;
    let frequencies = |config: &DecoderConfig| Frequencies::new(config).of_length(0).into_owned();
    let plain = frequencies(&config);
    config.rope_scaling = RopeScaling::Llama3 {
        factor,
        low: 1.0,
        high: 4.0,
        original_positions: 8192.0,
    };
    let stretched = frequencies(&config);
    plain.iter().zip(stretched).map(|(a, b)| a / b).collect()
}

/// The decimal number that a float32 was written as: 1e-5 and not 9.999999747378752e-6.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}

fn all_equal(values: &GgufMetadataArray) -> Option<u64> {
    let values: Vec<u64> = match values {
        GgufMetadataArray::U32(values) => values.iter().map(|&v| v.into()).collect(),
        GgufMetadataArray::U64(values) => values.clone(),
        GgufMetadataArray::I32(values) => {
            let values = values.iter().map(|&v| u64::try_from(v).ok());
            values.collect::<Option<_>>()?
        }
        _ => return None,
    };
    let first = *values.first()?;
    values.iter().all(|&value| value == first).then_some(first)
}
