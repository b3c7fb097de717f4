//! Fields of `config.json` that other models have and that change what is computed.
//!
//! `transformers` passes over a field that a model's class does not know. Here such a field may say that the weights belong
//! to another model, so it is refused unless its value is the one that changes nothing.

use serde_json::{Map, Value};

use super::{Architecture, Biases, refuse};
use crate::Result;

/// What is known of the model whose fields are looked at.
pub(super) struct Known {
    pub architecture: Architecture,
    pub hidden_size: usize,
    pub head_dim: usize,
    pub rms_norm_epsilon: f64,
    pub biases: Biases,
}

/// The value with which a field changes nothing. Null, false, an empty text, list or object change nothing either, except
/// for [`True`](Self::True).
#[derive(Clone, Copy)]
enum Neutral {
    /// No other.
    Nothing,
    /// 0: a limit or a number of layers that is off.
    Zero,
    /// 1: a factor.
    One,
    /// A switch that is on in every model here.
    True,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of ones: a switch per layer that is on.
    Ones,
    HiddenSize,
    HeadDim,
    /// The factor of the scores.
    RootOfHeadDim,
    NormEpsilon,
    /// True for a model with biases of queries, keys and values.
    AttentionBiases,
    /// True for a model with norms of query and key heads.
    HeadNorms,
}

/// Fields by what they are about.
const FIELDS: &[(&[&str], Neutral)] = &[
    (
        &[
            "attn_logit_softcapping",
            "attn_logit_softcap",
            "final_logit_softcapping",
            "final_logit_softcap",
            "router_logit_softcapping",
            "logits_soft_cap",
            "clip_qkv",
            "attn_temperature_tuning",
            "attention_chunk_size",
            "no_rope_layer_interval",
            "num_kv_shared_layers",
            "first_k_dense_replace",
            "n_routed_experts",
            "n_shared_experts",
            "kv_lora_rank",
            "q_lora_rank",
        ],
        Neutral::Zero,
    ),
    (
        &[
            "scale_emb",
            "embedding_multiplier",
            "embedding_scale",
            "residual_multiplier",
            "logits_scaling",
            "logit_scale",
            "lm_head_multiplier",
            "routed_scaling_factor",
            "partial_rotary_factor",
            "rotary_pct",
            "rotary_percent",
            "rope_pct",
            "rope_percent",
            "rope_scaling_factor",
            "rotary_emb_fraction",
        ],
        Neutral::One,
    ),
    (
        &[
            "alibi",
            "use_alibi",
            "parallel_attn",
            "parallel_block",
            "use_parallel_residual",
            "use_post_norm",
            "post_norm",
            "sandwich_norm",
            "apply_residual_connection_post_layernorm",
            "norm_head",
            "norm_embedding",
            "attn_output_gate",
            "attention_output_gate",
            "use_mla",
            "use_attention_sinks",
            "quantization",
            "compression_config",
            "scale_attn_by_inverse_layer_idx",
        ],
        Neutral::Nothing,
    ),
    (
        &[
            "norm_topk_prob",
            "scale_attn_weights",
            "use_rope",
            "use_rotary",
            "rotary",
        ],
        Neutral::True,
    ),
    (
        &[
            "qkv_bias",
            "use_qkv_bias",
            "add_qkv_bias",
            "attention_qkv_bias",
        ],
        Neutral::AttentionBiases,
    ),
    (
        &[
            "use_qk_norm",
            "qk_norm",
            "qk_layernorm",
            "use_qk_layernorm",
            "attention_qk_norm",
        ],
        Neutral::HeadNorms,
    ),
    (&["no_rope_layers"], Neutral::Ones),
    (&["dim_model_base"], Neutral::HiddenSize),
    (
        &["query_pre_attn_scalar", "rotary_dim", "rotary_ndims"],
        Neutral::HeadDim,
    ),
    (&["attention_multiplier"], Neutral::RootOfHeadDim),
    (
        &[
            "layer_norm_eps",
            "layer_norm_epsilon",
            "layernorm_epsilon",
            "norm_eps",
            "norm_epsilon",
        ],
        Neutral::NormEpsilon,
    ),
    (
        &["hidden_activation", "activation_function", "mlp_hidden_act"],
        Neutral::Word(&["silu", "swish"]),
    ),
    (
        &["position_embedding_type"],
        Neutral::Word(&["rope", "rotary"]),
    ),
    (&["scoring_func"], Neutral::Word(&["softmax"])),
];

/// Parts of names that say that a field changes the result.
const TELLING: [&str; 13] = [
    "rope",
    "rotary",
    "alibi",
    "scale",
    "scaling",
    "scalar",
    "multiplier",
    "softcap",
    "soft_cap",
    "qk_norm",
    "clip_",
    "bias",
    "mup_",
];

/// Parts of names that say that it does not: of fresh weights, of training, of how something is computed.
const HARMLESS: [&str; 7] = [
    "init",
    "loss",
    "fusion",
    "flash",
    "kernel",
    "implementation",
    "fp32",
];

/// Fields with a telling name that are read elsewhere.
const READ: [&str; 6] = [
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rope_interleaved",
    "attention_bias",
    "mlp_bias",
];

impl Neutral {
    fn allows(self, value: &Value, known: &Known) -> bool {
        let is = |number: f64| value.as_f64() == Some(number);
        match self {
            // What is off by default cannot be told from what is switched off by an empty value.
            Self::True => value.is_null() || *value == Value::Bool(true),
            _ if is_empty(value) => true,
            Self::Nothing => false,
            Self::Zero => is(0.0),
            Self::One => is(1.0),
            Self::Word(words) => value
                .as_str()
                .is_some_and(|word| words.contains(&word.to_lowercase().as_str())),
            Self::Ones => value
                .as_array()
                .is_some_and(|values| values.iter().all(|value| value.as_f64() == Some(1.0))),
            Self::HiddenSize => is(known.hidden_size as f64),
            Self::HeadDim => is(known.head_dim as f64),
            Self::RootOfHeadDim => value
                .as_f64()
                .is_some_and(|value| (value - root_of(known.head_dim)).abs() < 1e-6 * value),
            Self::NormEpsilon => is(known.rms_norm_epsilon),
            Self::AttentionBiases => {
                *value == Value::Bool(true) && known.biases.queries_keys_values
            }
            Self::HeadNorms => {
                *value == Value::Bool(true) && known.architecture == Architecture::Qwen3
            }
        }
    }

    /// The one value that is supported, where there is one.
    fn supported(self, known: &Known) -> Option<String> {
        Some(match self {
            Self::Nothing | Self::AttentionBiases | Self::HeadNorms => return None,
            Self::Zero => "0".to_owned(),
            Self::One => "1".to_owned(),
            Self::True => "true".to_owned(),
            Self::Word(words) => words.join(" or "),
            Self::Ones => "1 for every layer".to_owned(),
            Self::HiddenSize => format!("hidden_size = {}", known.hidden_size),
            Self::HeadDim => format!("head_dim = {}", known.head_dim),
            Self::RootOfHeadDim => format!("head_dim^-0.5 = {}", root_of(known.head_dim)),
            Self::NormEpsilon => format!("rms_norm_eps = {}", known.rms_norm_epsilon),
        })
    }
}

fn root_of(head_dim: usize) -> f64 {
    (head_dim as f64).powf(-0.5)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn is_telling(key: &str) -> bool {
    let has = |parts: &[&str]| parts.iter().any(|part| key.contains(part));
    !READ.contains(&key) && has(&TELLING) && !has(&HARMLESS)
}

/// # Errors
///
/// At the first field that changes the result.
pub(super) fn refuse_what_changes_the_result(
    source: &Map<String, Value>,
    known: &Known,
) -> Result<()> {
    refuse_own_code(source, known)?;
    for (key, value) in source {
        let listed = FIELDS.iter().find(|it| it.0.contains(&key.as_str()));
        let problem = match listed {
            Some((_, neutral)) if neutral.allows(value, known) => continue,
            Some((_, neutral)) => {
                let supported = neutral.supported(known);
                let supported = supported.map_or_else(String::new, |it| format!("; supported is {it}"));
                format!("which changes what a model computes{supported}; remove it only if the weights do not need it")
            }
            None if is_telling(key) && !is_empty(value) => {
                "which is not known and, by its name, changes what a model computes; remove it only if the weights do not need it"
                    .to_owned()
            }
            None => continue,
        };
        return Err(refuse(key.clone(), value, problem));
    }
    Ok(())
}

/// Classes of published reward models whose own code computes what is computed here: a body and `regression_head`.
const REWARD_MODELS: [&str; 2] = ["EurusRewardModel", "LlamaRewardModel"];

/// Refuses a model with a class of its own; a tokenizer's class is no matter of the weights.
fn refuse_own_code(source: &Map<String, Value>, known: &Known) -> Result<()> {
    let Some(map) = source.get("auto_map").filter(|map| !is_empty(map)) else {
        return Ok(());
    };
    let is_known = |(auto, class): (&String, &Value)| {
        let class = class.as_str().and_then(|class| class.rsplit('.').next());
        auto == "AutoTokenizer" || class.is_some_and(|class| REWARD_MODELS.contains(&class))
    };
    if map.as_object().is_some_and(|map| map.iter().all(is_known)) {
        return Ok(());
    }
    let class = format!("{}ForCausalLM", known.architecture.class_prefix());
    let problem = format!(
        "so the model has code of its own, which is not run here; if it computes what {class} does, remove auto_map and set architectures to [\"{class}\"]"
    );
    Err(refuse("auto_map", map, problem))
}
