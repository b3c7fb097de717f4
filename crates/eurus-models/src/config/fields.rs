//! The fields of `config.json` that decide the result, and what each family means by leaving one out.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Architecture, Biases, DecoderConfig, MixtureOfExperts, refuse, rope_settings, unknown,
};
use crate::{Error, Result};

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
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    #[serde(default)]
    tie_word_embeddings: bool,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    rope_interleaved: bool,
    attention_dropout: Option<f64>,
    router_jitter_noise: Option<f64>,
    num_local_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
    router_aux_loss_coef: Option<f64>,
    #[serde(default)]
    output_router_logits: bool,
    initializer_range: Option<f64>,
    max_position_embeddings: Option<usize>,
    quantization_config: Option<Value>,
}

/// The values that a family of models gives to missing keys.
struct Defaults {
    /// `None`: as many as query heads.
    kv_heads: Option<usize>,
    /// `None`: `hidden_size / num_attention_heads`.
    head_dim: Option<usize>,
    rms_norm_epsilon: f64,
    rope_theta: f64,
    sliding_window: Option<usize>,
    max_position_embeddings: usize,
}

impl Defaults {
    fn of(architecture: Architecture) -> Self {
        let llama = Self {
            kv_heads: None,
            head_dim: None,
            rms_norm_epsilon: 1e-6,
            rope_theta: 10_000.0,
            sliding_window: None,
            max_position_embeddings: 2048,
        };
        match architecture {
            Architecture::Llama => llama,
            Architecture::Mistral => Self {
                kv_heads: Some(8),
                sliding_window: Some(4096),
                max_position_embeddings: 131_072,
                ..llama
            },
            Architecture::Mixtral => Self {
                kv_heads: Some(8),
                max_position_embeddings: 131_072,
                rms_norm_epsilon: 1e-5,
                rope_theta: 1e6,
                ..llama
            },
            Architecture::Qwen2 => Self {
                kv_heads: Some(32),
                sliding_window: Some(4096),
                max_position_embeddings: 32_768,
                ..llama
            },
            Architecture::Qwen3 => Self {
                kv_heads: Some(32),
                head_dim: Some(128),
                sliding_window: Some(4096),
                max_position_embeddings: 32_768,
                ..llama
            },
        }
    }
}

/// The field, or the default when its key is missing. An explicit null is not a missing key.
fn or_default(
    source: &Map<String, Value>,
    key: &str,
    value: Option<usize>,
    default: Option<usize>,
) -> Option<usize> {
    if source.contains_key(key) {
        value
    } else {
        default
    }
}

pub(super) fn read(source: Map<String, Value>) -> Result<DecoderConfig> {
    let fields: Fields =
        serde_json::from_value(Value::Object(source.clone())).map_err(|source| Error::Json {
            path: "config.json".into(),
            source,
        })?;
    let model_type = fields.model_type.as_deref().unwrap_or("missing");
    let architecture = Architecture::from_model_type(model_type).ok_or_else(|| {
        let supported = Architecture::ALL.map(Architecture::model_type).join(", ");
        refuse(
            "model_type",
            model_type,
            format!("supported are {supported}"),
        )
    })?;
    fields.refuse_what_is_not_supported()?;

    let defaults = Defaults::of(architecture);
    let heads = fields.num_attention_heads;
    let kv_heads = or_default(
        &source,
        "num_key_value_heads",
        fields.num_key_value_heads,
        defaults.kv_heads,
    )
    .unwrap_or(heads);
    if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(refuse(
            "num_key_value_heads",
            kv_heads,
            format!("it must divide num_attention_heads = {heads}"),
        ));
    }
    let head_dim = or_default(&source, "head_dim", fields.head_dim, defaults.head_dim)
        .unwrap_or(fields.hidden_size / heads);
    if head_dim == 0 || !head_dim.is_multiple_of(2) {
        return Err(refuse("head_dim", head_dim, "it must be even"));
    }
    let window = or_default(
        &source,
        "sliding_window",
        fields.sliding_window,
        defaults.sliding_window,
    );
    let (sliding_window, full_attention_layers) = fields.windows(architecture, window)?;
    let rms_norm_epsilon = fields.rms_norm_eps.unwrap_or(defaults.rms_norm_epsilon);
    let biases = fields.biases(architecture)?;
    unknown::refuse_what_changes_the_result(
        &source,
        &unknown::Known {
            architecture,
            hidden_size: fields.hidden_size,
            head_dim,
            rms_norm_epsilon,
            biases,
        },
    )?;
    let max_position_embeddings = fields
        .max_position_embeddings
        .unwrap_or(defaults.max_position_embeddings);
    let (rope_theta, rope_scaling) = rope_settings::read(
        &source,
        &rope_settings::Shape {
            head_dim,
            max_position_embeddings,
            default_theta: defaults.rope_theta,
        },
    )?;
    Ok(DecoderConfig {
        architecture,
        vocab_size: fields.vocab_size,
        hidden_size: fields.hidden_size,
        intermediate_size: fields.intermediate_size,
        layers: fields.num_hidden_layers,
        heads,
        kv_heads,
        head_dim,
        rms_norm_epsilon,
        rope_theta,
        rope_scaling,
        sliding_window,
        full_attention_layers,
        biases,
        head_norms: architecture == Architecture::Qwen3,
        mixture: fields.mixture(architecture)?,
        tie_word_embeddings: fields.tie_word_embeddings,
        initializer_range: fields.initializer_range.unwrap_or(0.02),
        max_position_embeddings,
        source,
    })
}

impl Fields {
    fn refuse_what_is_not_supported(&self) -> Result<()> {
        if let Some(act) = self.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(refuse("hidden_act", act, "supported is silu"));
        }
        if self.rope_interleaved {
            return Err(refuse("rope_interleaved", true, "supported is false"));
        }
        for (field, noise) in [
            ("attention_dropout", self.attention_dropout),
            ("router_jitter_noise", self.router_jitter_noise),
        ] {
            if let Some(noise) = noise.filter(|noise| *noise != 0.0) {
                return Err(refuse(
                    field,
                    noise,
                    "supported is 0; set it to 0 to train without",
                ));
            }
        }
        if self.quantization_config.is_some() {
            return Err(refuse(
                "quantization_config",
                "set",
                "export the weights in float32, float16 or bfloat16 first",
            ));
        }
        Ok(())
    }

    /// The sliding window, and the number of first layers that do not have it.
    fn windows(
        &self,
        architecture: Architecture,
        window: Option<usize>,
    ) -> Result<(Option<usize>, usize)> {
        let (window, mut full) = match architecture {
            Architecture::Llama => {
                self.refuse_window_of_llama()?;
                return Ok((None, 0));
            }
            Architecture::Mistral | Architecture::Mixtral => {
                self.refuse_layers_without_window(architecture, window)?;
                (window, 0)
            }
            Architecture::Qwen2 | Architecture::Qwen3 => (
                window.filter(|_| self.use_sliding_window.unwrap_or(false)),
                self.max_window_layers.unwrap_or(28),
            ),
        };
        if window == Some(0) {
            return Err(refuse("sliding_window", 0, "a query must see itself"));
        }
        if window.is_none() {
            return Ok((None, 0));
        }
        if let Some(types) = &self.layer_types {
            let is_full = |kind: &String| kind == "full_attention";
            full = types.iter().take_while(|kind| is_full(kind)).count();
            let rest_slides = types[full..].iter().all(|kind| kind == "sliding_attention");
            if types.len() != self.num_hidden_layers || !rest_slides {
                return Err(refuse(
                    "layer_types",
                    format!("{types:?}"),
                    "supported are full_attention layers followed by sliding_attention layers, one entry per layer",
                ));
            }
        }
        Ok((window, full.min(self.num_hidden_layers)))
    }

    fn refuse_window_of_llama(&self) -> Result<()> {
        let problem = "which llama does not have; use model_type mistral, or remove it if the weights do not need it";
        let slides = |types: &Vec<String>| types.iter().any(|kind| kind != "full_attention");
        match (self.sliding_window, &self.layer_types) {
            (Some(window), _) => Err(refuse("sliding_window", window, problem)),
            (_, Some(types)) if slides(types) => {
                Err(refuse("layer_types", format!("{types:?}"), problem))
            }
            _ => Ok(()),
        }
    }

    /// Every layer of Mistral and Mixtral has the window.
    fn refuse_layers_without_window(
        &self,
        architecture: Architecture,
        window: Option<usize>,
    ) -> Result<()> {
        let family = architecture.model_type();
        let all = match window {
            Some(_) => "sliding_attention",
            None => "full_attention",
        };
        if window.is_some() && self.use_sliding_window == Some(false) {
            let problem = format!("but {family} uses its sliding_window always; set that to null");
            return Err(refuse("use_sliding_window", false, problem));
        }
        match &self.layer_types {
            Some(types) if types.iter().any(|kind| kind != all) => Err(refuse(
                "layer_types",
                format!("{types:?}"),
                format!(
                    "but by sliding_window every layer of {family} is {all}; make them say the same"
                ),
            )),
            _ => Ok(()),
        }
    }

    fn biases(&self, architecture: Architecture) -> Result<Biases> {
        let unsupported = match architecture {
            Architecture::Llama => None,
            Architecture::Qwen3 => self.mlp_bias.then_some("mlp_bias"),
            _ if self.attention_bias => Some("attention_bias"),
            _ => self.mlp_bias.then_some("mlp_bias"),
        };
        if let Some(field) = unsupported {
            let family = architecture.model_type();
            return Err(refuse(field, true, format!("which {family} does not have")));
        }
        Ok(Biases {
            queries_keys_values: self.attention_bias || architecture == Architecture::Qwen2,
            attention_output: self.attention_bias,
            mlp: self.mlp_bias,
        })
    }

    fn mixture(&self, architecture: Architecture) -> Result<Option<MixtureOfExperts>> {
        if architecture != Architecture::Mixtral {
            return Ok(None);
        }
        let experts = self.num_local_experts.unwrap_or(8);
        let experts_per_token = self.num_experts_per_tok.unwrap_or(2);
        if experts_per_token == 0 || experts_per_token > experts {
            return Err(refuse(
                "num_experts_per_tok",
                experts_per_token,
                format!("it must be between 1 and num_local_experts = {experts}"),
            ));
        }
        // transformers adds the loss only to a model that is asked for its router logits.
        let coefficient = self.router_aux_loss_coef.unwrap_or(0.001);
        Ok(Some(MixtureOfExperts {
            experts,
            experts_per_token,
            auxiliary_loss_coefficient: if self.output_router_logits {
                coefficient
            } else {
                0.0
            },
        }))
    }
}
