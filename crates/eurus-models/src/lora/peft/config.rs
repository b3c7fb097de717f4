//! `adapter_config.json`: what of it is read, and what is refused by name.

use std::fmt;
use std::path::Path;

use regex::Regex;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::super::LoraConfig;
use crate::{Error, Result};

/// The fields that decide what adapters compute.
#[derive(Deserialize)]
struct Fields {
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    rank_pattern: Option<Pattern<usize>>,
    #[serde(default)]
    alpha_pattern: Option<Pattern<f64>>,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
}

/// Fields that make something other than plain LoRA of the same matrices.
const VARIANTS: [&str; 14] = [
    "alora_invocation_tokens",
    "arrow_config",
    "ensure_weight_tying",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
    "monteclora_config",
];

/// Ways to begin that leave the base as it is. The others (PiSSA, OLoRA, ...) take a part out of the base's weights, which
/// are not the ones in its folder then.
const PLAIN_BEGINNINGS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// The field by which a file asks for something other than plain LoRA, if there is one.
fn variant(source: &Map<String, Value>) -> Option<&'static str> {
    let unset = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let differs = |name: &str, plain: &str| source.get(name).is_some_and(|value| value != plain);
    if differs("peft_type", "LORA") {
        return Some("peft_type");
    }
    if differs("bias", "none") {
        return Some("bias");
    }
    let beginning = source.get("init_lora_weights").and_then(Value::as_str);
    if beginning.is_some_and(|name| !PLAIN_BEGINNINGS.contains(&name)) {
        return Some("init_lora_weights");
    }
    let set = |name: &&str| source.get(*name).is_some_and(|value| !unset(value));
    VARIANTS.into_iter().find(set)
}

/// Values by regular expressions of layers' paths, in the order of the file: the first that matches counts.
struct Pattern<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pattern<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Pattern<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from regular expressions to numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pattern<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Pattern(entries))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// Compiled patterns.
struct Matcher<T>(Vec<(Regex, T)>);

impl<T: Copy> Matcher<T> {
    fn new(pattern: Option<Pattern<T>>) -> std::result::Result<Self, String> {
        let entries = pattern.map_or_else(Vec::new, |pattern| pattern.0);
        let compiled = entries.into_iter().map(|(key, value)| {
            // A key must match the end of the path, from a dot on.
            let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{key})$"));
            regex
                .map(|regex| (regex, value))
                .map_err(|_| format!("`{key}` is no regular expression that is understood"))
        });
        Ok(Self(compiled.collect::<std::result::Result<_, _>>()?))
    }

    fn of(&self, path: &str) -> Option<T> {
        let found = self.0.iter().find(|(regex, _)| regex.is_match(path));
        found.map(|&(_, value)| value)
    }
}

/// The settings of a folder's adapters.
pub struct AdapterSettings {
    /// Of the layers that no pattern names; `targets` and `modules_to_save` are those of the tensors.
    pub config: LoraConfig,
    /// The base, as whoever wrote the folder called it.
    pub base: Option<String>,
    /// Modules that the folder has whole, by the last part of their names.
    pub modules_to_save: Vec<String>,
    ranks: Matcher<usize>,
    alphas: Matcher<f64>,
}

impl AdapterSettings {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "reading"))?;
        let malformed = |source| Error::Json {
            path: path.into(),
            source,
        };
        let refuse = |problem: String| Error::Adapter {
            problem: format!("{}: {problem}", path.display()),
        };
        let source: Map<String, Value> = serde_json::from_str(&text).map_err(malformed)?;
        if let Some(field) = variant(&source) {
            return Err(refuse(format!(
                "field `{field}` is {}, which asks for something other than plain LoRA; only that is supported. Merge the adapter with PEFT (merge_and_unload) and give the merged model",
                source[field]
            )));
        }
        // From the text again, since the order of patterns counts.
        let fields: Fields = serde_json::from_str(&text).map_err(malformed)?;
        let config = LoraConfig {
            alpha: fields.lora_alpha,
            dropout: fields.lora_dropout,
            rank_stabilized: fields.use_rslora,
            ..LoraConfig::new(fields.r)
        };
        config.validate()?;
        Ok(Self {
            config,
            base: fields
                .base_model_name_or_path
                .filter(|base| !base.is_empty()),
            modules_to_save: fields.modules_to_save.unwrap_or_default(),
            ranks: Matcher::new(fields.rank_pattern)
                .map_err(|problem| refuse(format!("rank_pattern: {problem}")))?,
            alphas: Matcher::new(fields.alpha_pattern)
                .map_err(|problem| refuse(format!("alpha_pattern: {problem}")))?,
        })
    }

    /// The settings of one layer's adapter.
    pub fn of_layer(&self, path: &str) -> LoraConfig {
        LoraConfig {
            rank: self.ranks.of(path).unwrap_or(self.config.rank),
            alpha: self.alphas.of(path).unwrap_or(self.config.alpha),
            ..self.config.clone()
        }
    }
}
