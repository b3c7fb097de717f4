//! What stands in a recipe file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::{
    Architecture, EvalOptions, PracticeOptions, PreferenceOptions, RewardOptions, SftOptions,
};

/// A recipe: mixtures and the options of every stage. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A recipe of eurus")]
pub struct RecipeFile {
    /// What the recipe is called on command lines: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// What people call it. Default the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What comes of it, in a sentence or two. Default nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Raised with each change that changes a result. Default 1.
    #[serde(default = "one")]
    pub version: u32,
    /// A built-in recipe whose values hold where this one has none. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// Keys of that recipe that this one does without, such as `data.reward.sources.ultrasafety`. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// The model that the first stage starts from. May be that of the recipe that this one extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Data, benchmarks and a model to practice with, made before all else: then nothing need be there. Default none: the
    /// folders of data and benchmarks are the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practice: Option<PracticeOptions>,
    /// What each stage learns from.
    #[serde(default)]
    pub data: Mixtures,
    /// Options of `eurus sft`. Default the stage is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sft: Option<SftOptions>,
    /// Options of `eurus prefer`, which starts from what SFT made. Default the stage is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferenceOptions>,
    /// Options of `eurus reward`, which starts from what SFT made. Default the stage is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<RewardOptions>,
    /// What is measured in the end. Default nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval: Option<EvalOptions>,
    /// Where a value comes from, by its key with dots: a place of the paper, or `ours: ` and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    /// The small twin: other values by their keys with dots. Sizes, data and steps alone. Default there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub small: BTreeMap<String, toml::Value>,
}

fn one() -> u32 {
    1
}

/// A value of the small twin, as the schema knows it.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it is there for the schema")]
enum Value {
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<String>),
}

/// The model that the first stage starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A checkpoint folder, or the name of a model of the hub; `practice` is the model that `[practice]` makes.
    pub base: String,
    /// Its family. Default what its checkpoint says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// Its shape, to estimate costs where the checkpoint is not there. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
}

/// The shape of a decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Width within an MLP.
    pub intermediate_size: u64,
    /// Layers.
    pub layers: u64,
    /// Attention heads.
    pub heads: u64,
    /// Heads of keys and values.
    pub kv_heads: u64,
    /// Rows of the embedding.
    pub vocab_size: u64,
    /// The longest text that it is made for, in tokens.
    pub context: u64,
    /// How many tokens back a token may look. Default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<u64>,
}

/// The mixture of each stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mixtures {
    /// What SFT learns from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sft: Option<Mixture>,
    /// What preference learning learns from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<Mixture>,
    /// What the reward model learns from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<Mixture>,
}

/// A mixture, made by `eurus data mix`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// The mixture of the paper that this is: `eurus data mix --preset`. Its sources must be the same. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The format to write. Default that of the preset; needed without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Seed of what is drawn and of the order. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Which scores of rankings count: `overall` or `fine-grained`. Default `overall`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_by: Option<String>,
    /// Take rows of a source again if it has fewer than its amount. Default no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_repeats: Option<bool>,
    /// The sources, by name. At least one, here or in the recipe that this one extends.
    #[serde(default)]
    pub sources: BTreeMap<String, Source>,
}

/// A source of a mixture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// How much of it: `all`, `32k`, `50%`, `ratio:3`. Default `all`, or what the preset says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<String>,
    /// Its files, as a pattern within the folder of data. Needed unless it is made of another source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// The source of the same mixture whose trees it is made of, by `eurus data augment`. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augments: Option<String>,
    /// Where the data are published. Default nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Rows that the paper counts, to be compared with. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_rows: Option<u64>,
    /// Problems that those rows are of, by which estimates count trees. Default each row is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_problems: Option<u64>,
    /// Tokens of a problem with all its rows, each history once, for estimates. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_problem: Option<u64>,
    /// At most so many rows of one instruction. Default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_instruction: Option<u64>,
}

impl RecipeFile {
    /// The JSON Schema of recipe files.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}
