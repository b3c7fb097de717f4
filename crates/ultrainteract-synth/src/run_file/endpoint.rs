//! `[endpoints.NAME]`: a server, or a checkpoint in this process.

use std::path::{Path, PathBuf};

use chat_model::OpenAiConfig;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use ultrainteract::nearest::nearest;

/// A model that is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Endpoint {
    /// A model on a server.
    Server(Box<OpenAiConfig>),
    /// A model in this process.
    Checkpoint(Checkpoint),
}

/// A model in this process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// A folder as Hugging Face has it, with a tokenizer that has a chat template.
    pub checkpoint: PathBuf,
    /// How many answers advance together. Default that of the generator.
    #[serde(default)]
    pub rows: Option<usize>,
    /// Where it computes. Default the CPU.
    #[serde(default)]
    pub device: ComputeDevice,
}

/// Where a model in this process computes. The names are those of the program's option `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputeDevice {
    /// All cores of the processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// The best GPU that WebGPU finds.
    Wgpu,
    /// LibTorch on the processor.
    Tch,
}

impl<'de> Deserialize<'de> for Endpoint {
    /// By the key `checkpoint`, so that a slip in any other key is named as what it is.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        if table.contains_key("checkpoint") {
            return table
                .try_into()
                .map(Self::Checkpoint)
                .map_err(D::Error::custom);
        }
        if !table.contains_key("base_url") {
            let meant =
                |key: &String| Some((key.clone(), nearest(key, &["base_url", "checkpoint"])?));
            return Err(D::Error::custom(match table.keys().find_map(meant) {
                Some((key, name)) => format!("unknown field `{key}`; did you mean `{name}`?"),
                None => "an endpoint has a `base_url` and a `model`, or a `checkpoint`".into(),
            }));
        }
        table
            .try_into()
            .map(|server| Self::Server(Box::new(server)))
            .map_err(D::Error::custom)
    }
}

impl Endpoint {
    pub(super) fn resolve(&mut self, folder: &Path) {
        if let Self::Checkpoint(local) = self {
            local.checkpoint = folder.join(&local.checkpoint);
        }
    }

    /// Whether nobody said what it costs.
    pub(super) fn is_unpriced(&self) -> bool {
        matches!(self, Self::Server(server) if server.prices.is_none())
    }

    /// What its answers depend on: the model and what it is sent, not where it is or what it costs.
    pub fn identity(&self) -> Value {
        match self {
            Self::Server(server) => json!({
                "model": server.model,
                "send_seed": server.send_seed,
                "extra_body": server.extra_body,
            }),
            // Another device rounds otherwise. Stores that say nothing of it are of the CPU.
            Self::Checkpoint(local) => match local.device {
                ComputeDevice::Cpu => json!({ "checkpoint": local.checkpoint }),
                device => json!({ "checkpoint": local.checkpoint, "device": device }),
            },
        }
    }
}
