//! Reward models: a body and a head, trained on the rewards at the ends of paired responses.

use eurus_models::{ForestBatch, ForestRewardModel, int_tensor};
use pref_losses::stats::RewardSums;
use pref_losses::{RewardContext, RewardLoss, RewardLossConfig};
use serde_json::json;
use token_forest::{PackedForest, TokenTree, pack};

use crate::data::{PairedTree, check_trees};
use crate::events::Event;
use crate::packing::{GroupForest, pack_pairs};
use crate::preference::{check_paired, naive_tokens};
use crate::run::{RunSetup, StepOutcome, describe_paired, plain_device, run, training_device};
use crate::snapshot::Snapshots;
use crate::{Optimization, Result};

/// Trains a reward model on preference pairs.
#[derive(Debug, Clone)]
pub struct RewardTrainer {
    settings: Optimization,
    loss: RewardLoss,
    objective: RewardLossConfig,
    snapshots: Option<Snapshots>,
}

/// The rewards of a pair's two responses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairRewards {
    /// Reward at the end of the chosen response.
    pub chosen: f32,
    /// Reward at the end of the rejected response.
    pub rejected: f32,
}

/// Indices of the last tokens of each pair's nodes: all chosen ones, then all rejected ones.
fn ends(packed: &GroupForest) -> Vec<u32> {
    let nodes = packed.column(0).chain(packed.column(1));
    nodes
        .map(|node| packed.forest.end_of(node as usize))
        .collect()
}

impl RewardTrainer {
    /// A trainer with these settings and this loss.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn new(settings: Optimization, loss: &RewardLossConfig) -> Result<Self> {
        settings.validate()?;
        Ok(Self {
            settings,
            loss: loss.init()?,
            objective: loss.clone(),
            snapshots: None,
        })
    }

    /// Saves the state of the run as it goes, and goes on from it if asked.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn with_snapshots(mut self, snapshots: Option<Snapshots>) -> Result<Self> {
        snapshots.as_ref().map_or(Ok(()), Snapshots::validate)?;
        self.snapshots = snapshots;
        Ok(self)
    }

    /// Trains and returns the trained model, without autodiff.
    ///
    /// # Errors
    ///
    /// Before training: no trees, a path longer than allowed, or a token the model does not know. During training: a loss or gradient that is not finite.
    pub fn train<M: ForestRewardModel>(
        &self,
        model: M,
        trees: &[PairedTree],
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        let settings = &self.settings;
        check_paired(trees, settings, model.vocab_size())?;
        let device = training_device(&model);
        let ids: Vec<&str> = trees.iter().map(|tree| tree.id.as_str()).collect();
        let setup = RunSetup {
            settings,
            ids: &ids,
            snapshots: self.snapshots.as_ref(),
            objective: json!({ "reward": self.objective }),
            trees: &mut trees.iter().map(describe_paired),
        };
        run(
            model,
            setup,
            (),
            on_event,
            |model, members, optimizer, ()| {
                let step_trees: Vec<&PairedTree> = members.iter().map(|&m| &trees[m]).collect();
                let forests = pack_pairs(&step_trees, settings.token_budget)?;
                let pair_count: usize = forests.iter().map(|packed| packed.groups.len()).sum();
                let unique_tokens: usize = forests.iter().map(|it| it.forest.len()).sum();
                let forest_count = forests.len();
                let mut sums: Option<RewardSums> = None;
                for packed in forests {
                    let share = packed.forest.len() as f64 / unique_tokens as f64;
                    let pairs = packed.groups.len();
                    let tokens = int_tensor(&ends(&packed), &device);
                    let batch = ForestBatch::new(packed.forest, &device);
                    let (rewards, auxiliary) = model.rewards_and_auxiliary_loss(&batch, tokens);
                    let chosen = rewards.clone().narrow(0, 0, pairs);
                    let rejected = rewards.narrow(0, pairs, pairs);
                    let losses = self.loss.forward(
                        chosen.clone(),
                        rejected.clone(),
                        &RewardContext::default(),
                    );
                    let batch_sums = RewardSums::of(&losses, &chosen, &rejected);
                    sums = Some(match sums {
                        Some(sums) => sums.merge(batch_sums),
                        None => batch_sums,
                    });
                    let loss = losses.sum() / pair_count as f64;
                    optimizer.add(model, loss, auxiliary, share);
                }
                let stats = sums.map(RewardSums::read).unwrap_or_default();
                Ok(StepOutcome {
                    loss: stats.loss,
                    unique_tokens,
                    naive_tokens: naive_tokens(&step_trees),
                    forests: forest_count,
                    stats,
                })
            },
            |progress, pairs, (), on_event| on_event(&Event::Reward { progress, pairs }),
        )
    }
}

/// The rewards of every pair, tree by tree and pair by pair.
///
/// # Errors
///
/// When there are no trees, a path is longer than allowed, or a token is one the model does not know.
pub fn pair_rewards<M: ForestRewardModel>(
    model: &M,
    trees: &[PairedTree],
    settings: &Optimization,
) -> Result<Vec<PairRewards>> {
    check_paired(trees, settings, model.vocab_size())?;
    let model = model.valid();
    let device = plain_device(&model);
    let mut starts = Vec::with_capacity(trees.len());
    let mut count = 0;
    for tree in trees {
        starts.push(count);
        count += tree.pairs.len();
    }
    let zero = PairRewards {
        chosen: 0.0,
        rejected: 0.0,
    };
    let mut result = vec![zero; count];
    let members: Vec<&PairedTree> = trees.iter().collect();
    for packed in pack_pairs(&members, settings.token_budget)? {
        let tokens = int_tensor(&ends(&packed), &device);
        let batch = ForestBatch::new(packed.forest, &device);
        let rewards: Vec<f32> = model.rewards(&batch, tokens).into_data().iter().collect();
        let (chosen, rejected) = rewards.split_at(packed.groups.len());
        for ((pair, &chosen), &rejected) in packed.groups.iter().zip(chosen).zip(rejected) {
            result[starts[pair.tree] + pair.index] = PairRewards { chosen, rejected };
        }
    }
    Ok(result)
}

/// The reward at the end of every leaf, tree by tree, leaves in order: all candidates of a prompt in one pass.
///
/// # Errors
///
/// When a tree is malformed, a path is longer than allowed, or a token is one the model does not know.
pub fn leaf_rewards<M: ForestRewardModel>(
    model: &M,
    trees: &[TokenTree],
    settings: &Optimization,
) -> Result<Vec<Vec<f32>>> {
    check_trees(
        trees.iter().map(|tree| ("candidates", tree)),
        settings.max_path_tokens,
        model.vocab_size(),
    )?;
    let model = model.valid();
    let device = plain_device(&model);
    let mut result: Vec<Vec<f32>> = vec![Vec::new(); trees.len()];
    for members in pack(trees, settings.token_budget)? {
        let forest = PackedForest::from_trees(members.iter().map(|&m| &trees[m]))?;
        let leaves: Vec<Vec<usize>> = members.iter().map(|&m| trees[m].leaves()).collect();
        let ends: Vec<u32> = leaves
            .iter()
            .enumerate()
            .flat_map(|(place, leaves)| leaves.iter().map(move |&leaf| (place, leaf)))
            .map(|(place, leaf)| forest.end_of(forest.node_index(place, leaf)))
            .collect();
        let tokens = int_tensor(&ends, &device);
        let batch = ForestBatch::new(forest, &device);
        let rewards: Vec<f32> = model.rewards(&batch, tokens).into_data().iter().collect();
        let mut rewards = rewards.into_iter();
        for (member, leaves) in members.into_iter().zip(leaves) {
            result[member] = rewards.by_ref().take(leaves.len()).collect();
        }
    }
    Ok(result)
}
