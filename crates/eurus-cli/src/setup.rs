//! The setup of every training command, before it looks at its rows: device, model folder, tokenizer, limits.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use eurus::burn::tensor::Device;
use eurus::forest::{BuiltInTemplate, ChatTokenizer, TokenTree, TokenizerFiles};
use eurus::models::lora::{Adapted, AdapterFolder};
use eurus::models::{Checkpoint, Decoder, DecoderConfig, EosTokenIds, RewardModel};
use eurus::train::{Ranks, TrainingConfig};

use crate::adapters::Adapters;
use crate::device;
use crate::options::{Files, Steps, Text, WantedModel};
use crate::ranks::gpu;
use crate::untrained;
use crate::usage::UsageError;

/// A model folder that has been looked at, and the settings of the run. Weights are not loaded yet.
pub struct Setup {
    pub settings: TrainingConfig,
    pub tokenizer: ChatTokenizer,
    /// Special tokens of the template that the model's own folder does not use.
    new_tokens: Vec<u32>,
    /// The tokens that end an answer: the end of turn that is trained, and those that the checkpoint lists.
    pub stop_tokens: Vec<u32>,
    /// The most tokens a path may have: the user's limit or the model's.
    pub path_limit: PathLimit,
    pub config: DecoderConfig,
    pub device: Device,
    /// The processes that train; this one alone if nothing else is said.
    pub ranks: Ranks,
    folder: PathBuf,
    checkpoint: Checkpoint,
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
        let device = device::open(steps.device, gpu(steps, ranks))?;
        let folder = &files.model;
        if !folder.is_dir() {
            bail!(
                "{}: the model folder (--model) does not exist; give the folder that holds config.json",
                folder.display()
            );
        }
        let (checkpoint, config) = checked(files, ranks)?;
        let tokenizer = tokenizer(tokenizer_folder(files), text.chat_template.as_deref())?;
        let new_tokens = match text.chat_template {
            Some(_) => tokenizer.tokens_new_to(&TokenizerFiles::read(tokenizer_folder(files))?)?,
            None => Vec::new(),
        };
        if let (true, Some(stand_in)) = (ranks.is_first(), tokenizer.stand_in()) {
            tell!("{stand_in}");
        }
        let eos_token_ids = Checkpoint::new(folder).eos_token_ids()?;
        if let (true, Some(line)) = (ranks.is_first(), other_end(&tokenizer, &eos_token_ids)) {
            tell!("{line}");
        }
        let mut stop_tokens = eos_token_ids.all();
        stop_tokens.push(tokenizer.eos_id());
        let context = config.context_length();
        let path_limit = if settings.max_path_tokens <= context {
            PathLimit {
                tokens: settings.max_path_tokens,
                set_by: "--max-path-tokens",
            }
        } else {
            PathLimit {
                tokens: context,
                set_by: match context == config.max_position_embeddings {
                    true => "the model's max_position_embeddings",
                    false => "the model's max_position_embeddings, stretched by its rope settings",
                },
            }
        };
        Ok(Self {
            settings,
            tokenizer,
            new_tokens,
            stop_tokens,
            path_limit,
            config,
            device,
            ranks: ranks.clone(),
            folder: folder.clone(),
            checkpoint,
        })
    }

    /// Loads the weights. Call it after the rows are checked; it takes longest.
    pub fn decoder(&self) -> Result<Decoder> {
        let loaded = self.checkpoint.decoder(&self.device);
        let (model, _) = self.ranks.all_ok(loaded.map_err(anyhow::Error::from))?;
        Ok(model)
    }

    /// Loads the weights that a reward model starts from: those of one, or a body with a head of zeros.
    pub fn reward_start(&self) -> Result<RewardModel> {
        let loaded = self.checkpoint.reward_start(&self.device);
        let (model, _) = self.ranks.all_ok(loaded.map_err(anyhow::Error::from))?;
        Ok(model)
    }

    /// The model to train: as it is, or frozen with fresh adapters. Warns if these cannot learn the tokens of the template.
    pub fn put_on<M: Adapted>(&self, model: M, adapters: &Adapters) -> Result<M> {
        if let Some(config) = adapters.config() {
            let (tokenizer, new) = (&self.tokenizer, &self.new_tokens);
            let warning = untrained::warning(tokenizer, new, &model, &config.modules_to_save);
            warning.iter().for_each(|it| self.tell(it));
        }
        adapters.put_on(model, self.settings.seed)
    }

    /// A file of the model folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Tells something on standard error, once for all ranks.
    pub fn tell(&self, message: &str) {
        if self.ranks.is_first() {
            tell!("{message}");
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

/// Says that answers end with a token at which programs would not stop, and what becomes of it.
fn other_end(tokenizer: &ChatTokenizer, known: &EosTokenIds) -> Option<String> {
    let id = tokenizer.eos_id();
    (!known.stop_at(id)).then(|| {
        let listed: Vec<String> = known.all().iter().map(u32::to_string).collect();
        let listed = match listed.is_empty() {
            true => "has no eos_token_id".to_owned(),
            false => format!("has eos_token_id {}", listed.join(", ")),
        };
        format!(
            "answers are trained to end with `{}` ({id}), and the model {listed}; the result's config.json and generation_config.json list {id} too",
            tokenizer.eos()
        )
    })
}

/// The model, and its configuration. All that the headers of its files can tell is checked, since rows take long to read.
fn checked(files: &Files, ranks: &Ranks) -> Result<(Checkpoint, DecoderConfig)> {
    let mut checkpoint = Checkpoint::new(&files.model);
    let tell = |line: String| {
        if ranks.is_first() {
            tell!("{line}");
        }
    };
    if let Some(adapter) = &files.found.adapter {
        checkpoint = checkpoint.with_adapter(AdapterFolder::new(adapter));
        tell(format!(
            "{}: an adapter of PEFT, merged into its base {}",
            adapter.display(),
            files.model.display()
        ));
    }
    let config = match files.found.wanted {
        WantedModel::LanguageModel => checkpoint.check_decoder()?,
        WantedModel::RewardModel => {
            let (config, head) = checkpoint.check_reward_start()?;
            if let Some(head) = head {
                tell(format!(
                    "{}: a reward model; training goes on from its head ({}.weight)",
                    files.model.display(),
                    head.name()
                ));
            }
            config
        }
    };
    Ok((checkpoint, config))
}

/// The folder of the tokenizer: that of the adapters, if they have one of their own.
fn tokenizer_folder(files: &Files) -> &Path {
    let has_tokenizer = |folder: &&PathBuf| {
        let names = ["tokenizer.json", "tokenizer_config.json"];
        names.iter().all(|name| folder.join(name).is_file())
    };
    files
        .found
        .adapter
        .as_ref()
        .filter(has_tokenizer)
        .unwrap_or(&files.model)
}

/// The tokenizer of a model folder, with another chat template if one is given by name or as a file.
pub fn tokenizer(folder: &Path, template: Option<&str>) -> Result<ChatTokenizer> {
    let files = TokenizerFiles::read(folder)?;
    let files = match template {
        None | Some(AUTO) => files,
        Some(given) => match BuiltInTemplate::from_name(given) {
            Some(template) => return Ok(ChatTokenizer::from_files_with(files, template)?),
            None => {
                let source = std::fs::read_to_string(given).with_context(|| {
                    let names = BuiltInTemplate::ALL.map(BuiltInTemplate::name).join(", ");
                    format!("{given}: --chat-template is neither {AUTO}, nor one of {names}, nor a file that can be read")
                })?;
                files.with_template(given, &source)?
            }
        },
    };
    Ok(ChatTokenizer::from_files(files)?)
}

/// The model's own chat template, or what stands in for it.
const AUTO: &str = "auto";
