//! Two reward models: Bradley-Terry alone, and with direct rewards.

use anyhow::Result;
use eurus_models::{Decoder, RewardModel};
use eurus_train::{Event, RewardTrainer, TrainingConfig};
use pref_losses::{BradleyTerryConfig, RewardLossConfig, UltraInteractRewardConfig};
use token_forest::TrainingTree;

use crate::Scale;
use crate::console::Stage;
use crate::run_folder::RunFolder;

/// The losses, by the name they have in tables and in `metrics.jsonl`.
pub fn losses() -> [(&'static str, RewardLossConfig); 2] {
    [
        (
            "RM BT",
            RewardLossConfig::BradleyTerry(BradleyTerryConfig::default()),
        ),
        (
            "RM BT+LDR",
            RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default()),
        ),
    ]
}

/// How the reward models are trained.
pub fn settings(seed: u64, scale: &Scale) -> TrainingConfig {
    TrainingConfig {
        learning_rate: scale.reward_learning_rate,
        epochs: scale.reward_epochs,
        trees_per_step: scale.preference_trees_per_step,
        seed,
        ..TrainingConfig::default()
    }
}

/// Trains a reward model on the policy's body.
pub fn train(
    name: &str,
    loss: &RewardLossConfig,
    settings: &TrainingConfig,
    policy: &Decoder,
    trees: &[TrainingTree],
    folder: &mut RunFolder,
) -> Result<RewardModel> {
    let stage = Stage::start(name, settings.steps(trees.len()), "steps");
    let mut last = String::new();
    let mut failed = None;
    let model = RewardTrainer::new(settings.clone(), loss)?.train(
        RewardModel::from_decoder(policy.clone()),
        trees,
        &mut |event| {
            if let Event::Reward { progress, stats } = event {
                last = format!(
                    "loss {:.3}, rewards {:+.2} chosen, {:+.2} rejected",
                    stats.loss, stats.chosen_reward, stats.rejected_reward
                );
                stage.position(progress.step, last.clone());
            }
            if let Err(error) = folder.metric(name, event) {
                failed.get_or_insert(error);
            }
        },
    )?;
    failed.map_or(Ok(()), Err)?;
    stage.finish(&last);
    Ok(model)
}
