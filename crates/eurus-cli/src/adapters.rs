//! Low-rank adapters on the command line: options, and what a run with them starts from and writes.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use eurus::models::lora::{ALL_LINEAR, Adapted, AdapterFolder, LoraConfig};
use eurus::models::{Checkpoint, Error};

use crate::usage::UsageError;

/// Which part of the model is trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Adapters")]
pub struct Adapters {
    /// Train low-rank adapters of this rank (LoRA) and leave the model's own weights as they are. The result has them
    /// merged into its weights, and apart in its folder `adapter`, as PEFT reads them
    #[arg(long, value_name = "RANK")]
    lora_rank: Option<usize>,

    /// Strength of the adapters: their update is scaled by this over the rank [default: twice the rank]
    #[arg(long, value_name = "X")]
    lora_alpha: Option<f64>,

    /// Share of an adapter's inputs that is zero in training
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    lora_dropout: f64,

    /// Linear layers with an adapter, by the last part of their names [default: all of attention and MLP]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = ALL_LINEAR)]
    lora_targets: Vec<String>,
}

impl Adapters {
    /// The adapters asked for, if any.
    pub fn config(&self) -> Option<LoraConfig> {
        let mut config = LoraConfig::new(self.lora_rank?).with_dropout(self.lora_dropout);
        if let Some(alpha) = self.lora_alpha {
            config = config.with_alpha(alpha);
        }
        if !self.lora_targets.is_empty() {
            config = config.with_targets(self.lora_targets.clone());
        }
        Some(config)
    }

    /// Refuses settings outside their range.
    pub fn check(&self) -> Result<(), UsageError> {
        match self.config() {
            Some(config) => config.validate().map_err(UsageError::new),
            None => Ok(()),
        }
    }

    /// Whether adapters are trained, and the vectors of tokens are not.
    pub fn leave_tokens(&self) -> bool {
        self.config()
            .is_some_and(|config| config.modules_to_save.is_empty())
    }

    /// The model to train: as it is, or frozen with fresh adapters.
    pub fn put_on<M: Adapted>(&self, model: M, seed: u64) -> Result<M> {
        Ok(match self.config() {
            Some(config) => model.with_adapters(&config, seed)?,
            None => model,
        })
    }

    /// Writes the trained model with `write`, and its adapters beside it.
    pub fn write<M: Adapted>(
        &self,
        checkpoint: &Checkpoint,
        model: &M,
        base: &Path,
        write: impl FnOnce(&M) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(config) = self.config() else {
            return write(model);
        };
        write(&model.merged())?;
        AdapterFolder::new(checkpoint.folder().join("adapter")).save(
            model,
            &config,
            &base.display().to_string(),
        )
    }
}
