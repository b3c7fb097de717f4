//! Hugging Face checkpoint folders in and out.

mod eos;
mod files;
mod fill;
mod floats;
#[cfg(feature = "gguf")]
mod gguf;
mod header;
mod init;
mod parameters;
mod read;
mod shards;
mod write;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Map, Value};

use crate::lora::Adapted;
use crate::{Decoder, DecoderConfig, Error, Result, RewardModel, RewardProjection};
use read::FolderTensors;
use write::{Carried, Layout};

pub use eos::EosTokenIds;
#[cfg(feature = "hub")]
pub(crate) use files::{INDEX, SINGLE, is_plain_name, shard_names};
pub use floats::WeightType;
#[cfg(feature = "gguf")]
pub use gguf::GgufFile;
#[cfg(feature = "hub")]
pub(crate) use write::CARRIED;

/// The largest shard unless another size is chosen: 5 GB, as in transformers.
pub const MAX_SHARD_BYTES: u64 = 5_000_000_000;

/// A checkpoint folder in the Hugging Face layout: `config.json`, `model.safetensors` (or shards with an index) and
/// tokenizer files.
///
/// Loading keeps one copy of the weights and a buffer of a few megabytes; writing keeps one tensor beside the model.
///
/// ```
/// use burn::tensor::Device;
/// use eurus_models::{Checkpoint, Decoder, DecoderConfig};
///
/// # fn main() -> eurus_models::Result<()> {
/// let device = Device::flex();
/// let config = DecoderConfig::llama(64, 32, 2, 4);
/// let model = Decoder::init(&config, 7, &device);
/// let folder = std::env::temp_dir().join(format!("eurus-doc-{}", std::process::id()));
/// Checkpoint::new(&folder).write_decoder(&model, &config)?;
///
/// let (loaded, again) = Checkpoint::new(&folder).decoder(&device)?;
/// assert_eq!(again.layers, 2);
/// let weights = |m: &Decoder| m.model.norm.weight.val().into_data();
/// assert_eq!(weights(&loaded), weights(&model));
/// # std::fs::remove_dir_all(&folder).ok();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
    tokenizer_from: Option<PathBuf>,
    eos_token_id: Option<u32>,
    layout: Layout,
}

impl Checkpoint {
    /// Names a folder. Nothing is read or written yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            tokenizer_from: None,
            eos_token_id: None,
            layout: Layout {
                stored: WeightType::F32,
                max_shard_bytes: MAX_SHARD_BYTES,
            },
        }
    }

    /// Writes weights in another type than float32. The model in memory stays as it is.
    pub fn with_weight_type(mut self, stored: WeightType) -> Self {
        self.layout.stored = stored;
        self
    }

    /// Writes weights that take more bytes than this as shards with an index; a tensor that is larger gets a shard of
    /// its own. The default is [`MAX_SHARD_BYTES`].
    pub fn with_max_shard_bytes(mut self, bytes: u64) -> Self {
        self.layout.max_shard_bytes = bytes;
        self
    }

    /// Carries the tokenizer and generation files of another folder along when writing.
    pub fn with_tokenizer_from(mut self, folder: impl Into<PathBuf>) -> Self {
        self.tokenizer_from = Some(folder.into());
        self
    }

    /// Writes a token among those that end a text, in `config.json` and, where it is carried along, in
    /// `generation_config.json`: the end of turn that a model was trained to write, so that every program stops at it.
    pub fn with_eos_token_id(mut self, id: u32) -> Self {
        self.eos_token_id = Some(id);
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tokens that end a text, as the folder lists them.
    ///
    /// # Errors
    ///
    /// When `config.json` or `generation_config.json` cannot be read or is no JSON object.
    pub fn eos_token_ids(&self) -> Result<EosTokenIds> {
        eos::of_folder(&self.folder)
    }

    /// The type that most of the folder's numbers are stored in, from the headers alone; `None` for a folder without
    /// safetensors or of a type that cannot be written.
    pub fn weight_type(&self) -> Option<WeightType> {
        FolderTensors::open(&self.folder).ok()?.weight_type()
    }

    /// Loads a language model; weights become float32.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, `config.json` asks for something unsupported, shards and their index disagree,
    /// or tensors are missing, left over, of another shape than the configuration implies, of a type other than float32,
    /// float16 and bfloat16, or hold infinities or NaN.
    pub fn decoder(&self, device: &Device) -> Result<(Decoder, DecoderConfig)> {
        let config = DecoderConfig::from_folder(&self.folder)?;
        let mut tensors = self.tensors(&config)?;
        if config.tie_word_embeddings {
            tensors.check_tied()?;
        }
        let model = fill::fill(&mut tensors, Decoder::empty(&config, device), device)?;
        Ok((model, config))
    }

    /// Loads a reward model (`regression_head.weight`); weights become float32.
    ///
    /// # Errors
    ///
    /// As [`decoder`](Self::decoder).
    pub fn reward_model(&self, device: &Device) -> Result<(RewardModel, DecoderConfig)> {
        let config = DecoderConfig::from_folder(&self.folder)?;
        let mut tensors = self.tensors(&config)?;
        let model = fill::fill(&mut tensors, RewardModel::empty(&config, device), device)?;
        Ok((model, config))
    }

    /// The folder's tensors, found to be of the configuration's sizes.
    fn tensors(&self, config: &DecoderConfig) -> Result<FolderTensors> {
        let tensors = FolderTensors::open(&self.folder)?;
        fill::check_sizes(config, &tensors)?;
        Ok(tensors)
    }

    /// Writes a language model, whole or not at all; an existing folder is replaced.
    ///
    /// # Errors
    ///
    /// When the model has adapters, something cannot be written or read back from the device, or a weight is infinite or NaN, or would be in the
    /// type that weights are written in. What was there before stays then.
    pub fn write_decoder(&self, model: &Decoder, config: &DecoderConfig) -> Result<()> {
        self.write(model, config.to_json())
    }

    /// Writes a reward model, whole or not at all; an existing folder is replaced.
    ///
    /// # Errors
    ///
    /// As [`write_decoder`](Self::write_decoder).
    pub fn write_reward_model(&self, model: &RewardModel, config: &DecoderConfig) -> Result<()> {
        let mut fields = config.to_json();
        let class = match model.head {
            RewardProjection::RegressionHead(_) => "LlamaRewardModel".to_owned(),
            RewardProjection::Score(_) => {
                fields.insert("num_labels".into(), 1.into());
                format!(
                    "{}ForSequenceClassification",
                    config.architecture.class_prefix()
                )
            }
        };
        fields.insert("architectures".into(), serde_json::json!([class]));
        self.write(model, fields)
    }

    fn write<M: Adapted>(&self, model: &M, mut fields: Map<String, Value>) -> Result<()> {
        if !model.adapters().is_empty() {
            return Err(Error::Adapter {
                problem: "a checkpoint has no place for one; write the merged model, or the adapter alone as a folder of its own".into(),
            });
        }
        // The type that is written, whatever it was when the weights were read. transformers 4 and 5 name the field
        // differently; some files have both names.
        let mut keys = vec!["torch_dtype", "dtype"];
        keys.retain(|key| fields.contains_key(*key));
        if keys.is_empty() {
            keys.push("torch_dtype");
        }
        for key in keys {
            fields.insert(key.into(), self.layout.stored.name().into());
        }
        if let Some(id) = self.eos_token_id {
            eos::add(&mut fields, id);
        }
        let carried = Carried {
            from: self.tokenizer_from.as_deref(),
            eos_token_id: self.eos_token_id,
        };
        let parameters = parameters::of(model);
        write::folder(&parameters, fields, self.layout, &self.folder, carried)
    }
}

impl Decoder {
    /// A fresh decoder: weights drawn from a normal distribution of standard deviation `initializer_range`, norms one.
    /// The same seed gives the same weights on every device.
    pub fn init(config: &DecoderConfig, seed: u64, device: &Device) -> Self {
        init::draw(Self::empty(config, device), config.initializer_range, seed)
    }
}
