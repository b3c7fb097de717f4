//! A reference that is another model than the one that is trained.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use eurus::burn::tensor::Device;
use eurus::forest::TrainingTree;
use eurus::forest::rows::TrainingRows;
use eurus::models::{Checkpoint, Decoder, DecoderConfig};
use serde_json::Value;

use crate::model_folder::ModelFolder;
use crate::setup::Setup;

/// A model that reads the tokens of the run. Weights are not loaded yet.
pub struct OtherModel {
    pub config: DecoderConfig,
    checkpoint: Checkpoint,
    folder: PathBuf,
    device: Device,
}

impl OtherModel {
    /// Looks at its files: configuration, headers of the weights, and that it has the run's vocabulary.
    pub fn open(found: &ModelFolder, setup: &Setup) -> Result<Self> {
        let folder = &found.folder;
        let checkpoint = found.checkpoint();
        let config = checkpoint
            .check_decoder()
            .context("the reference (--reference)")?;
        check_vocabulary(
            folder,
            "--reference",
            &setup.file("tokenizer.json"),
            "--model",
        )?;
        Ok(Self {
            config,
            checkpoint,
            folder: folder.to_owned(),
            device: setup.device.clone(),
        })
    }

    /// Refuses rows that the model could not read.
    pub fn check(&self, rows: &TrainingRows) -> Result<()> {
        let name = self.folder.display();
        let limit = self.config.max_position_embeddings;
        for tree in rows.trees.iter().map(TrainingTree::tree) {
            let longest = tree.longest_path_tokens();
            if longest > limit {
                bail!(
                    "{}: a path has {longest} tokens, and the reference (--reference {name}) reads {limit} (max_position_embeddings); lower --max-path-tokens and say --over-long cut or drop",
                    rows.files()
                );
            }
            let ids = tree.nodes.iter().flat_map(|node| &node.tokens);
            if let Some(id) = ids
                .max()
                .filter(|&&id| id as usize >= self.config.vocab_size)
            {
                bail!(
                    "{}: token id {id} is in the rows, but the reference (--reference {name}) has vocab_size = {}; give a model with the tokenizer of --model",
                    rows.files(),
                    self.config.vocab_size
                );
            }
        }
        Ok(())
    }

    /// Loads the weights.
    pub fn decoder(&self) -> Result<Decoder> {
        let (model, _) = self
            .checkpoint
            .decoder(&self.device)
            .context("the reference (--reference)")?;
        Ok(model)
    }
}

/// Refuses a model folder, given by an option, whose vocabulary is not that of the `tokenizer.json` of another option's.
pub fn check_vocabulary(folder: &Path, option: &str, other: &Path, of: &str) -> Result<()> {
    // Bare weights may have no tokenizer; then the ids alone can be checked.
    let own = folder.join("tokenizer.json");
    if own.is_file() && vocabulary(&own)? != vocabulary(other)? {
        bail!(
            "{}: the model of {option} has another vocabulary than {of}, so the same ids are other words to it; give a model with the tokenizer of {of}",
            own.display()
        );
    }
    Ok(())
}

/// The words of a `tokenizer.json` with their ids.
fn vocabulary(path: &Path) -> Result<(Value, Vec<(Value, Value)>)> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut file: Value =
        serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))?;
    let added = file["added_tokens"].as_array().cloned();
    let mut added: Vec<(Value, Value)> = added
        .unwrap_or_default()
        .into_iter()
        .map(|token| (token["id"].clone(), token["content"].clone()))
        .collect();
    added.sort_by_key(|(id, _)| id.as_u64());
    Ok((file["model"]["vocab"].take(), added))
}
