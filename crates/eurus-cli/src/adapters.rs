//! Low-rank adapters on the command line: options, and what a run with them starts from and writes.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use eurus::models::lora::{Adapted, AdapterFolder, LoraConfig, SavedModule};
use eurus::models::{Checkpoint, DecoderConfig, Error};

use crate::options::{Files, WantedModel};
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

    /// Linear layers with an adapter, by the last part of their names: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj,
    /// down_proj, of experts w1, w2, w3, or all-linear for all that the model has [default: all-linear]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    lora_targets: Vec<String>,

    /// Matrices to train whole beside the adapters, as new tokens or a new chat template need it. They are in the result and in
    /// its folder `adapter`
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_enum)]
    modules_to_save: Vec<SavedModule>,
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
        Some(config.with_modules_to_save(self.modules_to_save.clone()))
    }

    /// Refuses settings outside their range.
    pub fn check(&self) -> Result<(), UsageError> {
        match self.config() {
            Some(config) => config.validate().map_err(UsageError::new),
            None => Ok(()),
        }
    }

    /// Refuses adapters that the model in a folder cannot have.
    pub fn check_for(&self, model: &Path, wanted: WantedModel) -> Result<()> {
        let Some(config) = self.config() else {
            return Ok(());
        };
        if wanted == WantedModel::RewardModel && self.modules_to_save.contains(&SavedModule::LmHead)
        {
            let problem = "--modules-to-save lm_head: a reward model has no output projection; its own head is trained beside the adapters without being named";
            return Err(UsageError::new(problem).into());
        }
        let checked = DecoderConfig::from_folder(model)?.check_adapters(&config);
        checked.map_err(|error| UsageError::new(error).into())
    }

    /// The model to train: as it is, or frozen with fresh adapters.
    pub fn put_on<M: Adapted>(&self, model: M, seed: u64) -> Result<M> {
        Ok(match self.config() {
            Some(config) => model.with_adapters(&config, seed)?,
            None => model,
        })
    }

    /// Writes the trained model with `write`, and its adapters beside it. Those on a base that is merged of others lie nowhere
    /// apart: their base is in no folder.
    pub fn write<M: Adapted>(
        &self,
        checkpoint: &Checkpoint,
        model: &M,
        files: &Files,
        write: impl FnOnce(&M) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(config) = self.config() else {
            return write(model);
        };
        write(&model.merged())?;
        if files.found.adapter.is_some() {
            tell!(
                "the adapters are merged into the result and not written apart: their base is merged, too"
            );
            return Ok(());
        }
        AdapterFolder::new(checkpoint.folder().join("adapter")).save(
            model,
            &config,
            &files.model.display().to_string(),
        )
    }
}
