//! The models that score.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use eurus::forest::ChatTokenizer;
use eurus::models::{Decoder, RewardModel};
use eurus::train::TrainingConfig;
use serde_json::{Value, json};

use super::Score;
use crate::model_folder::{self, ModelFolder};
use crate::other_model::check_vocabulary;
use crate::{device, local_model, setup};

/// The models that score.
pub struct Scorers {
    pub tokenizer: ChatTokenizer,
    pub reward: Option<RewardModel>,
    pub policy: Option<Decoder>,
    pub reference: Option<Decoder>,
    /// Check sums of them, by the option that names each.
    pub fingerprints: Value,
    /// The longest path that all of them take.
    pub context: usize,
    pub settings: TrainingConfig,
}

impl Scorers {
    /// Loads them, and checks that they read the same tokens.
    pub fn load(options: &Score) -> Result<Self> {
        let device = device::open(options.device, 0)?;
        let find = |model: &Option<PathBuf>, option| {
            model
                .as_deref()
                .map(|model: &Path| model_folder::find(model, option))
                .transpose()
        };
        let (reward, policy) = (
            find(&options.model, "--model")?,
            find(&options.policy, "--policy")?,
        );
        let reference = find(&options.reference, "--reference")?;
        let Some(first) = reward.as_ref().or(policy.as_ref()) else {
            bail!("give a reward model (--model) or a policy (--policy)");
        };
        let tokenizer = setup::tokenizer(&first.folder, options.chat_template.as_deref())?;
        let of = if reward.is_some() {
            "--model"
        } else {
            "--policy"
        };
        let tokens = first.folder.join("tokenizer.json");
        for (other, option) in [(&policy, "--policy"), (&reference, "--reference")] {
            if let Some(other) = other {
                check_vocabulary(&other.folder, option, &tokens, of)?;
            }
        }
        let fingerprint = |found: &Option<ModelFolder>| {
            let found = found.as_ref();
            found.map(local_model::fingerprint).transpose()
        };
        let fingerprints = json!({
            "model": fingerprint(&reward)?,
            "policy": fingerprint(&policy)?,
            "reference": fingerprint(&reference)?,
        });
        let mut context = usize::MAX;
        let reward = reward
            .map(|it| it.checkpoint().reward_model(&device))
            .transpose()?;
        let reward = reward.map(|(model, config)| {
            context = context.min(config.context_length());
            model
        });
        let mut decoder = |found: Option<ModelFolder>| -> Result<Option<Decoder>> {
            let Some(found) = found else {
                return Ok(None);
            };
            let (model, config) = found.checkpoint().decoder(&device)?;
            context = context.min(config.context_length());
            Ok(Some(model))
        };
        let (policy, reference) = (decoder(policy)?, decoder(reference)?);
        let context = context.min(options.token_budget);
        Ok(Self {
            tokenizer,
            reward,
            policy,
            reference,
            fingerprints,
            context,
            settings: TrainingConfig {
                token_budget: options.token_budget,
                max_path_tokens: context,
                ..TrainingConfig::default()
            },
        })
    }
}
