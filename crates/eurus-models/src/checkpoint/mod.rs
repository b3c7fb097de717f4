//! Hugging Face checkpoint folders in and out.

mod init;
mod read;
mod write;

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;

use crate::{Decoder, DecoderConfig, Result, RewardModel};

/// A checkpoint folder in the Hugging Face layout: `config.json`, `model.safetensors` (or shards with an index) and
/// tokenizer files.
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
}

impl Checkpoint {
    /// Names a folder. Nothing is read or written yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            tokenizer_from: None,
        }
    }

    /// Carries the tokenizer and generation files of another folder along when writing.
    pub fn with_tokenizer_from(mut self, folder: impl Into<PathBuf>) -> Self {
        self.tokenizer_from = Some(folder.into());
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Loads a language model; weights become float32.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, `config.json` asks for something unsupported, or tensors are missing, left over
    /// or of another shape than the configuration implies.
    pub fn decoder(&self, device: &Device) -> Result<(Decoder, DecoderConfig)> {
        let config = DecoderConfig::from_folder(&self.folder)?;
        let model = read::fill(&self.folder, Decoder::empty(&config, device), device)?;
        Ok((model, config))
    }

    /// Loads a reward model (`regression_head.weight`); weights become float32.
    ///
    /// # Errors
    ///
    /// As [`decoder`](Self::decoder).
    pub fn reward_model(&self, device: &Device) -> Result<(RewardModel, DecoderConfig)> {
        let config = DecoderConfig::from_folder(&self.folder)?;
        let model = read::fill(&self.folder, RewardModel::empty(&config, device), device)?;
        Ok((model, config))
    }

    /// Writes a language model, whole or not at all; an existing folder is replaced.
    ///
    /// # Errors
    ///
    /// When something cannot be written or read back from the device.
    pub fn write_decoder(&self, model: &Decoder, config: &DecoderConfig) -> Result<()> {
        self.write(model, config, None)
    }

    /// Writes a reward model, whole or not at all; an existing folder is replaced.
    ///
    /// # Errors
    ///
    /// As [`write_decoder`](Self::write_decoder).
    pub fn write_reward_model(&self, model: &RewardModel, config: &DecoderConfig) -> Result<()> {
        self.write(model, config, Some("LlamaRewardModel"))
    }

    fn write<M: Module>(
        &self,
        model: &M,
        config: &DecoderConfig,
        class: Option<&str>,
    ) -> Result<()> {
        let mut fields = config.to_json();
        if let Some(class) = class {
            fields.insert("architectures".into(), serde_json::json!([class]));
        }
        // Weights are written in float32 whatever they were read from; transformers 4 and 5 name the field differently.
        for key in ["torch_dtype", "dtype"] {
            if fields.contains_key(key) {
                fields.insert(key.into(), "float32".into());
            }
        }
        write::folder(model, fields, &self.folder, self.tokenizer_from.as_deref())
    }
}

impl Decoder {
    /// A fresh decoder: weights drawn from a normal distribution of standard deviation `initializer_range`, norms one.
    /// The same seed gives the same weights on every device.
    pub fn init(config: &DecoderConfig, seed: u64, device: &Device) -> Self {
        init::draw(Self::empty(config, device), config.initializer_range, seed)
    }
}

/// Dotted path of the parameter being visited, which is its tensor name in Hugging Face files.
#[derive(Default)]
struct PathStack(Vec<String>);

impl PathStack {
    fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}
