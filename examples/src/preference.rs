//! DPO, KTO and NCA from the same checkpoint, on the same pairs, with the same reference log-probs.

use anyhow::{Context, Result};
use eurus_eval::analyses::reward_trajectory::{RewardMeans, RewardTrajectory, StepRewards};
use eurus_models::Decoder;
use eurus_train::{Event, PreferenceTrainer, ReferenceLogProbs, TrainingConfig};
use pref_losses::{DpoConfig, KtoConfig, NcaConfig, PreferenceLossConfig, PreferenceStats};
use token_forest::TrainingTree;

use crate::Scale;
use crate::console::Stage;
use crate::run_folder::RunFolder;
use crate::start::Start;

/// Of all three losses; the paper's.
pub const BETA: f64 = 0.1;

/// The paper's lambda+ / lambda- of KTO.
pub const DESIRABLE_WEIGHT: f64 = 1.33;

/// The algorithms, by the name they have in the paper and in `metrics.jsonl`.
pub fn algorithms() -> [(&'static str, PreferenceLossConfig); 3] {
    let kto = KtoConfig {
        beta: BETA,
        desirable_weight: DESIRABLE_WEIGHT,
        ..KtoConfig::default()
    };
    [
        (
            "DPO",
            PreferenceLossConfig::Dpo(DpoConfig {
                beta: BETA,
                ..DpoConfig::default()
            }),
        ),
        ("KTO", PreferenceLossConfig::Kto(kto)),
        ("NCA", PreferenceLossConfig::Nca(NcaConfig { beta: BETA })),
    ]
}

/// The names of the algorithms, for options.
pub const NAMES: [&str; 3] = ["DPO", "KTO", "NCA"];

/// The algorithm of this name.
///
/// # Errors
///
/// When there is none.
pub fn algorithm(name: &str) -> Result<(&'static str, PreferenceLossConfig)> {
    let mut all = algorithms().into_iter();
    all.find(|(known, _)| *known == name)
        .with_context(|| format!("there is no algorithm {name}"))
}

/// How the policies are trained.
pub fn settings(seed: u64, scale: &Scale) -> TrainingConfig {
    TrainingConfig {
        learning_rate: scale.preference_learning_rate,
        epochs: scale.preference_epochs,
        trees_per_step: scale.preference_trees_per_step,
        seed,
        ..TrainingConfig::default()
    }
}

/// Log-probs of the pairs under the model that training starts from.
pub fn reference(
    model: &Decoder,
    trees: &[TrainingTree],
    settings: &TrainingConfig,
) -> Result<ReferenceLogProbs> {
    let pairs = trees.iter().map(|tree| tree.groups().len()).sum();
    let stage = Stage::start("Reference", pairs, "pairs");
    let reference = ReferenceLogProbs::compute(model, trees, settings, &mut |event| {
        if let Event::Reference { done, .. } = event {
            stage.position(*done, String::new());
        }
    })?;
    stage.finish(&format!("log-probs of {pairs} pairs"));
    Ok(reference)
}

/// A trained policy and what happened on the way.
pub struct Learned {
    /// Of the algorithm, or of what it learned from.
    pub name: String,
    /// The policy.
    pub model: Decoder,
    /// Rewards by step and by quarters of the steps.
    pub rewards: RewardTrajectory,
    /// Tokens computed: each node of a tree once.
    pub unique_tokens: usize,
    /// Tokens of the same pairs as two full sequences each.
    pub naive_tokens: usize,
}

/// Trains the policy of a start on pairs, with the log-probs of that policy as the reference. The pairs need no mismatched
/// completions; they get them here.
pub fn learn_from(
    start: &mut Start,
    name: &str,
    loss: &PreferenceLossConfig,
    settings: &TrainingConfig,
    pairs: &[TrainingTree],
) -> Result<Learned> {
    let pairs = with_mismatched(pairs, start.seed)?;
    let reference = reference(&start.policy, &pairs, settings)?;
    let folder = &mut start.folder;
    learn(
        name,
        loss,
        settings,
        &start.policy,
        &pairs,
        &reference,
        folder,
    )
}

/// The pairs, each with a mismatched completion, which KTO's estimate of the KL wants; DPO and NCA do not look at it.
///
/// # Errors
///
/// When there are fewer than two trees.
pub fn with_mismatched(pairs: &[TrainingTree], seed: u64) -> Result<Vec<TrainingTree>> {
    let mut pairs = pairs.to_vec();
    token_forest::add_mismatched(&mut pairs, seed)?;
    Ok(pairs)
}

impl Learned {
    /// Means over the pairs of the last quarter of the steps.
    pub fn late(&self) -> &RewardMeans {
        self.rewards.last()
    }
}

/// Trains a policy on the pairs.
pub fn learn(
    name: &str,
    loss: &PreferenceLossConfig,
    settings: &TrainingConfig,
    model: &Decoder,
    trees: &[TrainingTree],
    reference: &ReferenceLogProbs,
    folder: &mut RunFolder,
) -> Result<Learned> {
    let stage = Stage::start(name, settings.steps(trees.len()), "steps");
    let mut steps: Vec<StepRewards> = Vec::new();
    let (mut unique_tokens, mut naive_tokens) = (0, 0);
    let mut failed = None;
    let model = PreferenceTrainer::new(settings.clone(), loss)?.train(
        model.clone(),
        trees,
        reference,
        &mut |event| {
            if let Event::Preference { progress, stats } = event {
                steps.push(rewards_of(progress.step, stats));
                unique_tokens += progress.unique_tokens;
                naive_tokens += progress.naive_tokens;
                let rate = stats.groups as f64 / progress.seconds;
                stage.position(
                    progress.step,
                    format!(
                        "loss {:.3}, margin {:.2}, accuracy {:.2}, {rate:.0} pairs/s",
                        stats.loss,
                        stats.margin,
                        stats.accuracy.unwrap_or_default()
                    ),
                );
            }
            if let Err(error) = folder.metric(name, event) {
                failed.get_or_insert(error);
            }
        },
    )?;
    failed.map_or(Ok(()), Err)?;
    let rewards = RewardTrajectory::new(steps)?;
    let late = rewards.last();
    stage.finish(&format!(
        "rewards {:+.2} chosen, {:+.2} rejected; {:.2}x fewer tokens than pairs as rows",
        late.chosen_reward,
        late.rejected_reward,
        naive_tokens as f64 / unique_tokens.max(1) as f64
    ));
    Ok(Learned {
        name: name.to_owned(),
        model,
        rewards,
        unique_tokens,
        naive_tokens,
    })
}

/// What the analysis of rewards wants of a step.
fn rewards_of(step: usize, stats: &PreferenceStats) -> StepRewards {
    StepRewards {
        step,
        groups: stats.groups,
        chosen: stats.chosen,
        rejected: stats.rejected,
        chosen_reward: stats.chosen_reward,
        rejected_reward: stats.rejected_reward,
        accuracy: stats.accuracy,
    }
}
