//! Reward models: a body and a head, trained on the rewards at the ends of paired responses.

use burn::tensor::{Device, Tensor};
use eurus_models::{ForestBatch, ForestRewardModel, int_tensor};
use pref_losses::stats::RewardSums;
use pref_losses::{RewardContext, RewardLoss, RewardLossConfig, RewardStats};
use serde_json::json;
use token_forest::{
    GroupForest, Label, LabelKind, PackedForest, PackedGroup, Pieces, TokenTree, TrainingTree, pack,
};

use crate::activations::{Pass, Tape};
use crate::evaluation::Evaluation;
use crate::events::Event;
use crate::examples::{check_examples, check_trees};
use crate::run::{RunSetup, StepOutcome, StepStats, plain_device, run, training_device};
use crate::snapshot::Snapshots;
use crate::step::{GroupCounts, GroupTerms, PackedStep};
use crate::{Optimization, Ranks, Result};

/// Trains a reward model on preference pairs.
///
/// A pair's [label](Label::Pair) says whether it is only to be ranked, and by how much its chosen reward should lead.
#[derive(Debug, Clone)]
pub struct RewardTrainer {
    settings: Optimization,
    loss: RewardLoss,
    objective: RewardLossConfig,
    snapshots: Option<Snapshots>,
    ranks: Ranks,
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

/// What the loss is told of the pairs of a forest.
fn labels_of(groups: &[PackedGroup], trees: &[&TrainingTree], device: &Device) -> RewardContext {
    let labels: Vec<(f32, bool)> = groups
        .iter()
        .map(
            |group| match trees[group.tree].groups()[group.index].label {
                Label::Pair { margin, rank_only } => (margin, rank_only),
                _ => (0.0, false),
            },
        )
        .collect();
    let margin = labels.iter().any(|it| it.0 != 0.0).then(|| {
        let margins: Vec<f32> = labels.iter().map(|it| it.0).collect();
        Tensor::from_floats(margins.as_slice(), device)
    });
    let is_ultra_interact = labels.iter().any(|it| it.1).then(|| {
        let direct: Vec<bool> = labels.iter().map(|it| !it.1).collect();
        Tensor::from_data(direct.as_slice(), device)
    });
    RewardContext {
        margin,
        is_ultra_interact,
    }
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
            ranks: Ranks::default(),
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

    /// Trains together with the other ranks, each of which calls the same methods with the same trees and settings.
    /// [`Ranks`] says how the work is shared.
    pub fn with_ranks(mut self, ranks: Ranks) -> Self {
        self.ranks = ranks;
        self
    }

    /// Trains and returns the trained model, without autodiff.
    ///
    /// # Errors
    ///
    /// Before training: no trees, a path longer than allowed, or a token the model does not know. During training: a loss or
    /// gradient that is not finite.
    pub fn train<M: ForestRewardModel>(
        &self,
        model: M,
        trees: &[TrainingTree],
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        self.train_evaluated(model, trees, None, on_event)
    }

    /// As [`train`](Self::train), judging the model as it goes.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train), and those of the evaluation.
    pub fn train_evaluated<M: ForestRewardModel>(
        &self,
        model: M,
        trees: &[TrainingTree],
        evaluation: Option<&mut Evaluation<'_, M>>,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        let settings = &self.settings;
        check_examples(trees, LabelKind::Pair, settings, model.vocab_size())?;
        let device = training_device(&model);
        let pieces = Pieces::of_groups(trees, settings.token_budget)?;
        let setup = RunSetup {
            settings,
            examples: trees,
            pieces: &pieces.sizes(),
            ranks: &self.ranks,
            snapshots: self.snapshots.as_ref(),
            objective: json!({ "reward": self.objective }),
            reference: None,
        };
        run(
            model,
            setup,
            (),
            evaluation,
            on_event,
            |model, mine, optimizer, ()| {
                let recompute = settings.recompute_activations;
                self.pass(
                    model,
                    PackedStep::new(trees, &pieces, mine.members),
                    &device,
                    recompute,
                    &self.ranks,
                    &mut |loss, tape, share| {
                        optimizer.add(model, loss, tape, share);
                    },
                )
            },
            |progress, pairs, (), on_event| on_event(&Event::Reward { progress, pairs }),
        )
    }

    /// The loss and statistics of pairs that are not trained on.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train) before training.
    pub fn held_out<M: ForestRewardModel>(
        &self,
        model: &M,
        trees: &[TrainingTree],
    ) -> Result<RewardStats> {
        check_examples(trees, LabelKind::Pair, &self.settings, model.vocab_size())?;
        let model = self.settings.precision.of(model.valid());
        let pieces = Pieces::of_groups(trees, self.settings.token_budget)?;
        let all: Vec<usize> = (0..trees.len()).collect();
        let device = plain_device(&model);
        let outcome = self.pass(
            &model,
            PackedStep::new(trees, &pieces, &all),
            &device,
            false,
            &Ranks::default(),
            &mut |_, _, _| {},
        )?;
        Ok(outcome.stats)
    }

    /// The losses of all pairs of some trees, forest by forest: `consume` is given each forest's part of the mean, its tape and
    /// its share of the tokens.
    fn pass<M: ForestRewardModel>(
        &self,
        model: &M,
        packed: PackedStep<'_>,
        device: &Device,
        recompute: bool,
        ranks: &Ranks,
        consume: &mut dyn FnMut(Tensor<1>, Tape<'_>, f64),
    ) -> Result<StepOutcome<RewardStats>> {
        let mut forests = Vec::new();
        let naive_tokens = packed.naive_tokens();
        let PackedStep {
            trees,
            forests: mine,
        } = packed;
        let mine = mine.map(|packed| {
            forests = packed;
            GroupCounts::of(&forests)
        });
        let my_counts = *mine.as_ref().unwrap_or(&GroupCounts::default());
        let counts: GroupCounts = ranks.exchange(mine)?.into_iter().sum();
        let forest_count = forests.len();
        let mut sums: Option<RewardSums> = None;
        let mut terms = Vec::new();
        for packed in forests {
            let share = packed.forest.len() as f64 / counts.unique_tokens as f64;
            let pairs = packed.groups.len();
            let tokens = int_tensor(&ends(&packed), device);
            let context = labels_of(&packed.groups, &trees, device);
            let batch = ForestBatch::new(packed.forest, device);
            let pass = Pass::of_reward_model(model, &batch, recompute)?;
            let rewards = model.rewards_of(pass.hidden, tokens);
            let chosen = rewards.clone().narrow(0, 0, pairs);
            let rejected = rewards.narrow(0, pairs, pairs);
            let losses = self
                .loss
                .forward(chosen.clone(), rejected.clone(), &context);
            let forest_sums = RewardSums::of(&losses, &chosen, &rejected);
            sums = Some(match sums {
                Some(sums) => sums.merge(forest_sums),
                None => forest_sums,
            });
            terms.push(GroupTerms {
                groups: packed.groups,
                terms: vec![
                    ("the reward of the chosen response", chosen.detach()),
                    ("the reward of the rejected response", rejected.detach()),
                    ("the loss", losses.clone().detach()),
                ],
            });
            consume(losses.sum() / counts.groups as f64, pass.tape, share);
        }
        let stats = sums.map(RewardSums::read).unwrap_or_default();
        let not_finite = if stats.loss.is_finite() {
            Vec::new()
        } else {
            terms
                .into_iter()
                .flat_map(|it| it.name(LabelKind::Pair.nouns()[0], |tree| trees[tree].id()))
                .collect()
        };
        Ok(StepOutcome {
            loss: stats.loss * (my_counts.groups as f64 / counts.groups as f64),
            unique_tokens: my_counts.unique_tokens,
            naive_tokens,
            forests: forest_count,
            not_finite,
            stats,
        })
    }
}

impl StepStats for RewardStats {
    fn merge(self, other: Self) -> Self {
        self.merge(other)
    }
}

/// The rewards of every pair, tree by tree and pair by pair.
///
/// # Errors
///
/// When there are no trees, a path is longer than allowed, or a token is one the model does not know.
pub fn pair_rewards<M: ForestRewardModel>(
    model: &M,
    trees: &[TrainingTree],
    settings: &Optimization,
) -> Result<Vec<PairRewards>> {
    check_examples(trees, LabelKind::Pair, settings, model.vocab_size())?;
    let model = model.valid();
    let device = plain_device(&model);
    let mut starts = Vec::with_capacity(trees.len());
    let mut count = 0;
    for tree in trees {
        starts.push(count);
        count += tree.groups().len();
    }
    let zero = PairRewards {
        chosen: 0.0,
        rejected: 0.0,
    };
    let mut result = vec![zero; count];
    let all: Vec<usize> = (0..trees.len()).collect();
    for packed in Pieces::of_groups(trees, settings.token_budget)?.pack(&all)? {
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
