//! The setup of every training command, before it looks at its rows: device, model folder, tokenizer, limits.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use eurus::burn::tensor::Device;
use eurus::forest::{BuiltInTemplate, ChatTokenizer, TokenTree, TokenizerFiles};
use eurus::models::{Checkpoint, Decoder, DecoderConfig};
use eurus::train::{Ranks, TrainingConfig};

use crate::options::{DeviceName, Files, Steps, Text};
use crate::ranks::gpu;
use crate::usage::UsageError;

/// A model folder that has been looked at, and the settings of the run. Weights are not loaded yet.
pub struct Setup {
    pub settings: TrainingConfig,
    pub tokenizer: ChatTokenizer,
    /// The most tokens a path may have: the user's limit or the model's.
    pub path_limit: PathLimit,
    pub config: DecoderConfig,
    pub device: Device,
    /// The processes that train; this one alone if nothing else is said.
    pub ranks: Ranks,
    folder: PathBuf,
}

/// A limit of path lengths and what set it.
#[derive(Debug, Clone, Copy)]
pub struct PathLimit {
    pub tokens: usize,
    pub set_by: &'static str,
}

impl Setup {
    /// Looks at the model folder; nothing is written.
    pub fn open(files: &Files, text: &Text, steps: &Steps, ranks: &Ranks) -> Result<Self> {
        let settings = steps.training();
        settings.validate().map_err(UsageError::new)?;
        let device = device(steps.device, gpu(steps, ranks))?;
        let folder = &files.model;
        if !folder.is_dir() {
            bail!(
                "{}: the model folder (--model) does not exist; give the folder that holds config.json",
                folder.display()
            );
        }
        let config = DecoderConfig::from_folder(folder)?;
        let tokenizer = tokenizer(folder, text.chat_template.as_deref())?;
        let path_limit = if settings.max_path_tokens <= config.max_position_embeddings {
            PathLimit {
                tokens: settings.max_path_tokens,
                set_by: "--max-path-tokens",
            }
        } else {
            PathLimit {
                tokens: config.max_position_embeddings,
                set_by: "the model's max_position_embeddings",
            }
        };
        Ok(Self {
            settings,
            tokenizer,
            path_limit,
            config,
            device,
            ranks: ranks.clone(),
            folder: folder.clone(),
        })
    }

    /// Loads the weights. Call it after the rows are checked; it takes longest.
    pub fn decoder(&self) -> Result<Decoder> {
        let loaded = Checkpoint::new(&self.folder).decoder(&self.device);
        let (model, _) = self.ranks.all_ok(loaded.map_err(anyhow::Error::from))?;
        Ok(model)
    }

    /// Tells something on standard error, once for all ranks.
    pub fn tell(&self, message: &str) {
        if self.ranks.is_first() {
            eprintln!("{message}");
        }
    }

    /// Refuses token ids that the model has no embedding for.
    pub fn check_vocabulary<'a>(&self, trees: impl Iterator<Item = &'a TokenTree>) -> Result<()> {
        let vocab_size = self.config.vocab_size;
        let highest = trees
            .flat_map(|tree| &tree.nodes)
            .flat_map(|node| &node.tokens)
            .max();
        match highest {
            Some(&id) if id as usize >= vocab_size => bail!(
                "{}: tokenizer.json makes token id {id} (`{}`), but config.json says vocab_size = {vocab_size}; do they belong together?",
                self.folder.display(),
                self.tokenizer.token(id).unwrap_or_default()
            ),
            _ => Ok(()),
        }
    }
}

/// The tokenizer of a model folder, with another chat template if one is given by name or as a file.
fn tokenizer(folder: &Path, template: Option<&str>) -> Result<ChatTokenizer> {
    let files = TokenizerFiles::read(folder)?;
    let files = match template {
        None => files,
        Some(given) => match BuiltInTemplate::from_name(given) {
            Some(template) => files.with_built_in_template(template)?,
            None => {
                let source = std::fs::read_to_string(given).with_context(|| {
                    let names = BuiltInTemplate::ALL.map(BuiltInTemplate::name).join(", ");
                    format!("{given}: --chat-template is neither one of {names} nor a file that can be read")
                })?;
                files.with_template(given, &source)?
            }
        },
    };
    Ok(ChatTokenizer::from_files(files)?)
}

/// A device by name; where there are several GPUs, the one with this number.
#[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
fn device(name: DeviceName, gpu: usize) -> Result<Device> {
    match name {
        DeviceName::Cpu => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        DeviceName::Cuda => Ok(Device::cuda(gpu)),
        #[cfg(feature = "wgpu")]
        DeviceName::Wgpu => Ok(Device::wgpu(Default::default())),
        #[cfg(feature = "tch")]
        #[allow(
            deprecated,
            reason = "burn means to drop LibTorch; until then it is offered"
        )]
        DeviceName::Tch => Ok(Device::libtorch()),
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda => not_built("cuda"),
        #[cfg(not(feature = "wgpu"))]
        DeviceName::Wgpu => not_built("wgpu"),
        #[cfg(not(feature = "tch"))]
        DeviceName::Tch => not_built("tch"),
    }
}

#[cfg(not(all(feature = "cuda", feature = "wgpu", feature = "tch")))]
fn not_built(feature: &str) -> Result<Device> {
    bail!(
        "--device {feature}: this program was built without it; build it with `cargo build --release -p eurus-cli --features {feature}`, or use --device cpu"
    )
}
