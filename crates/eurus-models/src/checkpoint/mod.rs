//! Hugging Face checkpoint folders in and out.

mod eos;
mod files;
mod fill;
mod floats;
mod foreign;
#[cfg(feature = "gguf")]
mod gguf;
mod header;
mod init;
mod names;
mod parameters;
mod read;
mod shards;
mod write;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Map, Value};

use crate::decoder::Body;
use crate::lora::{Adapted, AdapterFolder};
use crate::{Decoder, DecoderConfig, Error, Result, RewardHead, RewardModel};
use names::OUTPUT;
use read::FolderTensors;
use write::{Carried, Layout};

pub use eos::EosTokenIds;
pub(crate) use files::{INDEX, SINGLE};
#[cfg(feature = "hub")]
pub(crate) use files::{is_plain_name, shard_names};
pub use floats::WeightType;
pub(crate) use floats::read as read_floats;
pub(crate) use foreign::missing as missing_file;
#[cfg(feature = "gguf")]
pub use gguf::GgufFile;
pub(crate) use header::Header;
pub(crate) use names::{before_layers, unwrapped, usual};
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
    adapter: Option<AdapterFolder>,
    tokenizer_from: Option<PathBuf>,
    eos_token_id: Option<u32>,
    layout: Layout,
}

/// A body without anything on it; named as the files name it.
#[derive(burn::module::Module, Debug)]
struct BodyAlone {
    model: Body,
}

impl Checkpoint {
    /// Names a folder. Nothing is read or written yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            adapter: None,
            tokenizer_from: None,
            eos_token_id: None,
            layout: Layout {
                stored: WeightType::F32,
                max_shard_bytes: MAX_SHARD_BYTES,
            },
        }
    }

    /// Merges adapters into the weights when they are loaded: the folder is the base that these were trained on.
    pub fn with_adapter(mut self, adapter: AdapterFolder) -> Self {
        self.adapter = Some(adapter);
        self
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

    /// Whether the folder has weights in safetensors files.
    pub fn has_weights(&self) -> bool {
        [SINGLE, INDEX]
            .iter()
            .any(|name| self.folder.join(name).is_file())
    }

    /// The type that most of the folder's numbers are stored in, from the headers alone; `None` for a folder without
    /// safetensors or of a type that cannot be written.
    pub fn weight_type(&self) -> Option<WeightType> {
        FolderTensors::open(&self.folder).ok()?.weight_type()
    }

    /// Loads a language model; weights become float32. Adapters, if there are any, are merged into it.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, `config.json` asks for something unsupported, shards and their index disagree,
    /// or tensors are missing, left over, of another shape than the configuration implies, of a type other than float32,
    /// float16 and bfloat16, or hold infinities or NaN; when two tensors have the same meaning, or it is a reward model.
    pub fn decoder(&self, device: &Device) -> Result<(Decoder, DecoderConfig)> {
        let (mut tensors, mut config) = self.open_decoder()?;
        let mut model = fill::fill(&mut tensors, Decoder::empty(&config, device), device)?;
        if let Some(adapter) = &self.adapter {
            adapter.check_language_model()?;
            model = adapter.load(model, device)?.0.merged();
            config.tie_word_embeddings = model.lm_head.is_none();
        }
        Ok((model, config))
    }

    /// Finds everything that can be found wrong with a language model from the headers of its files. Loading it may fail
    /// on its numbers alone after that. Returns its configuration.
    ///
    /// # Errors
    ///
    /// As [`decoder`](Self::decoder).
    pub fn check_decoder(&self) -> Result<DecoderConfig> {
        let (tensors, mut config) = self.open_decoder()?;
        let mut model = Decoder::empty(&config, &Device::flex());
        fill::check(&tensors, &model)?;
        if let Some(adapter) = &self.adapter {
            adapter.check_language_model()?;
            config.tie_word_embeddings &= !adapter.check(&mut model)?.unties();
        }
        Ok(config)
    }

    /// The tensors of a language model, which has its output projection.
    fn open_decoder(&self) -> Result<(FolderTensors, DecoderConfig)> {
        let config = DecoderConfig::from_folder(&self.folder)?;
        let mut tensors = self.tensors(&config)?;
        if let Some(head) = tensors.reward_head()? {
            return Err(Error::RewardModelGiven {
                path: self.folder.clone(),
                head: head.name(),
            });
        }
        tensors.check_no_value_head()?;
        if config.tie_word_embeddings {
            tensors.check_tied()?;
        } else if !tensors.has(OUTPUT) {
            return Err(Error::MissingHead {
                path: self.folder.clone(),
            });
        }
        Ok((tensors, config))
    }

    /// Loads a reward model (`regression_head.weight` or `score.weight`); weights become float32.
    ///
    /// # Errors
    ///
    /// As [`decoder`](Self::decoder), and when it has no such head.
    pub fn reward_model(&self, device: &Device) -> Result<(RewardModel, DecoderConfig)> {
        let (mut tensors, config) = self.open_reward_model()?;
        let head = match tensors.reward_head()? {
            Some(head) => head,
            // The base is a language model, and the head is the adapter's.
            None if self.head_of_adapter()?.is_some() => return self.reward_start(device),
            None => RewardHead::of(&config),
        };
        let model = RewardModel::empty(&config, head, device);
        let model = fill::fill(&mut tensors, model, device)?;
        Ok((self.adapted_reward_model(model, device)?, config))
    }

    /// Loads what a reward model is trained from: a reward model with its head, or the body of a language model with a head
    /// of zeros. Weights become float32.
    ///
    /// # Errors
    ///
    /// As [`decoder`](Self::decoder); neither an output projection nor a head is asked for.
    pub fn reward_start(&self, device: &Device) -> Result<(RewardModel, DecoderConfig)> {
        let (mut tensors, config) = self.open_reward_model()?;
        let model = match tensors.reward_head()? {
            Some(head) => {
                let model = RewardModel::empty(&config, head, device);
                fill::fill(&mut tensors, model, device)?
            }
            None => {
                let model = Body::new(&config, device);
                let body = fill::fill(&mut tensors, BodyAlone { model }, device)?;
                RewardModel::from_body(body.model)
            }
        };
        Ok((self.adapted_reward_model(model, device)?, config))
    }

    /// Finds everything that can be found wrong with what a reward model is trained from in the headers of its files.
    /// Returns the configuration, and the head that is there already.
    ///
    /// # Errors
    ///
    /// As [`reward_start`](Self::reward_start).
    pub fn check_reward_start(&self) -> Result<(DecoderConfig, Option<RewardHead>)> {
        let (tensors, config) = self.open_reward_model()?;
        let device = Device::flex();
        let head = tensors.reward_head()?;
        match head {
            Some(head) => fill::check(&tensors, &RewardModel::empty(&config, head, &device))?,
            None => {
                let model = Body::new(&config, &device);
                fill::check(&tensors, &BodyAlone { model })?;
            }
        }
        let Some(adapter) = &self.adapter else {
            return Ok((config, head));
        };
        let head = adapter.reward_head()?.or(head);
        let named = head.unwrap_or_default();
        adapter.check(&mut RewardModel::empty(&config, named, &device))?;
        Ok((config, head))
    }

    fn open_reward_model(&self) -> Result<(FolderTensors, DecoderConfig)> {
        let config = DecoderConfig::from_folder(&self.folder)?;
        let tensors = self.tensors(&config)?;
        tensors.check_no_value_head()?;
        Ok((tensors, config))
    }

    fn head_of_adapter(&self) -> Result<Option<RewardHead>> {
        let adapter = self.adapter.as_ref();
        Ok(adapter
            .map(AdapterFolder::reward_head)
            .transpose()?
            .flatten())
    }

    /// The reward model with the adapters merged into it, if there are any; their head takes the place of the base's.
    fn adapted_reward_model(&self, model: RewardModel, device: &Device) -> Result<RewardModel> {
        let Some(adapter) = &self.adapter else {
            return Ok(model);
        };
        let model = match adapter.reward_head()? {
            Some(head) => model.with_head(head),
            None => model,
        };
        Ok(adapter.load(model, device)?.0.merged())
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
        let mut fields = config.to_json();
        // Adapters with an output projection of their own have undone a tie.
        fields.insert("tie_word_embeddings".into(), model.lm_head.is_none().into());
        // A body that was saved alone, say.
        if config
            .class()
            .is_some_and(|class| !class.ends_with("ForCausalLM"))
        {
            let class = format!("{}ForCausalLM", config.architecture.class_prefix());
            fields.insert("architectures".into(), serde_json::json!([class]));
        }
        self.write(model, fields)
    }

    /// Writes a reward model, whole or not at all; an existing folder is replaced.
    ///
    /// # Errors
    ///
    /// As [`write_decoder`](Self::write_decoder).
    pub fn write_reward_model(&self, model: &RewardModel, config: &DecoderConfig) -> Result<()> {
        let mut fields = config.to_json();
        let own_class = config
            .class()
            .filter(|class| class.ends_with("RewardModel"));
        let class = match model.head.head() {
            RewardHead::Regression => own_class.unwrap_or("LlamaRewardModel").to_owned(),
            RewardHead::Score => {
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
