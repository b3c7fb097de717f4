//! Reward models: a body and a head, trained on the rewards at the ends of paired responses.

use burn::tensor::{Device, Int, Tensor};
use eurus_models::{ForestBatch, ForestRewardModel, int_tensor};
use pref_losses::{
    PreferenceStats, PreferenceSums, RepresentationDistances, RewardContext, RewardLoss,
    RewardLossConfig, representation_distances,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use token_forest::{
    GroupForest, Label, LabelKind, PackedGroup, Pieces, Span, TokenTree, TrainingTree,
};

use crate::activations::{Pass, Tape};
use crate::evaluation::Evaluation;
use crate::events::Event;
use crate::events::StepProgress;
use crate::examples::check_examples;
use crate::optimizer::StepOptimizer;
use crate::run::{
    Memory, Objective, Run, RunSetup, StepOutcome, StepStats, StepTrees, plain_device,
    training_device,
};
use crate::scoring::node_rewards;
use crate::snapshot::Snapshots;
use crate::step::{GroupCounts, GroupTerms, PackedStep};
use crate::{Ranks, Result, RunIdentity, StopRequest, TrainingConfig};

/// Trains a reward model on preference pairs.
///
/// A pair's [label](Label::Pair) says whether it is only to be ranked, and by how much its chosen reward should lead.
#[derive(Debug, Clone)]
pub struct RewardTrainer {
    settings: TrainingConfig,
    loss: RewardLoss,
    /// The loss as it was described, for the identity of a run.
    objective: Value,
    snapshots: Option<Snapshots>,
    ranks: Ranks,
    stop: StopRequest,
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

/// The margins and flags of the pairs of a forest, as the loss takes them.
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
    let rank_only = labels.iter().any(|it| it.1).then(|| {
        let rank_only: Vec<bool> = labels.iter().map(|it| it.1).collect();
        Tensor::from_data(rank_only.as_slice(), device)
    });
    RewardContext {
        margin,
        rank_only,
        distances: None,
    }
}

impl RewardTrainer {
    /// A trainer with these settings and this loss.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn new(settings: TrainingConfig, loss: &RewardLossConfig) -> Result<Self> {
        Self::of(settings, loss.init()?, json!({ "reward": loss }))
    }

    /// A trainer with a loss of one's own, as [`pref_losses::RewardPairLoss`] describes it. `identity` names the loss and its settings:
    /// a run goes on from snapshots of the same identity alone.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn with_loss(
        settings: TrainingConfig,
        loss: RewardLoss,
        identity: impl Into<String>,
    ) -> Result<Self> {
        Self::of(settings, loss, json!({ "own": identity.into() }))
    }

    fn of(settings: TrainingConfig, loss: RewardLoss, objective: Value) -> Result<Self> {
        settings.validate()?;
        Ok(Self {
            settings,
            loss,
            objective,
            snapshots: None,
            ranks: Ranks::default(),
            stop: StopRequest::default(),
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

    /// Ends the run after the step that it is at once the request is made.
    pub fn with_stop_request(mut self, stop: StopRequest) -> Self {
        self.stop = stop;
        self
    }

    /// The identity of a run of this trainer, as far as it is known without examples: for
    /// [`Snapshots::check`](crate::Snapshots::check).
    pub fn identity(&self) -> RunIdentity {
        RunIdentity::new(
            &self.settings,
            self.objective.clone(),
            self.snapshots.as_ref(),
        )
    }

    /// Trains and returns the trained model, without autodiff.
    ///
    /// # Errors
    ///
    /// Before training: no trees, a path longer than allowed, or a token the model does not know. During training: a loss or
    /// gradient that is not finite, or gradients that are all zero.
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
        let pieces = Pieces::of_groups(trees, Span::Responses, settings.token_budget)?;
        let setup = RunSetup {
            settings,
            examples: trees,
            pieces: &pieces.sizes(),
            ranks: &self.ranks,
            snapshots: self.snapshots.as_ref(),
            stop: &self.stop,
            identity: self.identity().of_examples(trees),
        };
        let ranking = Ranking {
            trainer: self,
            trees,
            pieces: &pieces,
            device: training_device(&model),
            mean_distance: None,
        };
        Run::train(model, setup, ranking, evaluation, on_event)
    }

    /// The loss and statistics of pairs that are not trained on.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train) before training.
    pub fn evaluate<M: ForestRewardModel>(
        &self,
        model: &M,
        trees: &[TrainingTree],
    ) -> Result<PreferenceStats> {
        check_examples(trees, LabelKind::Pair, &self.settings, model.vocab_size())?;
        let model = self.settings.precision.of(model.valid());
        let pieces = Pieces::of_groups(trees, Span::Responses, self.settings.token_budget)?;
        let all: Vec<usize> = (0..trees.len()).collect();
        let device = plain_device(&model);
        let part = Part {
            step: PackedStep::new(trees, &pieces, &all),
            mean_distance: None,
            recompute: false,
        };
        let alone = Ranks::default();
        let outcome = self.pass(&model, part, &device, &alone, &mut |_, _, _| {})?;
        Ok(outcome.stats.stats)
    }

    /// The losses of all pairs of some trees, forest by forest: `consume` is given each forest's part of the mean, its tape and
    /// its share of the tokens.
    fn pass<M: ForestRewardModel>(
        &self,
        model: &M,
        part: Part<'_>,
        device: &Device,
        ranks: &Ranks,
        consume: &mut dyn FnMut(Tensor<1>, Tape<'_>, f64),
    ) -> Result<StepOutcome<RewardStep>> {
        let mut forests = Vec::new();
        let naive_tokens = part.step.naive_tokens();
        let PackedStep {
            trees,
            forests: mine,
        } = part.step;
        let mine = mine.map(|packed| {
            forests = packed;
            GroupCounts::of(&forests)
        });
        let my_counts = *mine.as_ref().unwrap_or(&GroupCounts::default());
        let counts: GroupCounts = ranks.all_gather(mine)?.into_iter().sum();
        let forest_count = forests.len();
        let mean_distance = match part.mean_distance {
            None if self.loss.needs_distances() => {
                let mine = sum_of_distances(&model.valid(), &forests);
                let all = ranks.all_gather(Ok(mine))?;
                Some(all.into_iter().sum::<f64>() / counts.groups.max(1) as f64)
            }
            known => known,
        };
        let mut sums: Option<PreferenceSums> = None;
        let mut distance_sum: Option<Tensor<1>> = None;
        let mut terms = Vec::new();
        for packed in forests {
            let share = packed.forest.len() as f64 / counts.unique_tokens as f64;
            let pairs = packed.groups.len();
            let tokens = int_tensor(&ends(&packed), device);
            let mut context = labels_of(&packed.groups, &trees, device);
            let batch = ForestBatch::new(packed.forest, device);
            let pass = Pass::new(model, &batch, part.recompute)?;
            if let Some(mean) = mean_distance.filter(|_| self.loss.needs_distances()) {
                let distances = distances_at(&pass.hidden, tokens.clone());
                let sum = distances.clone().inner().sum();
                distance_sum = Some(match distance_sum {
                    Some(sums) => sums + sum,
                    None => sum,
                });
                context.distances = Some(RepresentationDistances { distances, mean });
            }
            let rewards = model.rewards_of(pass.hidden, tokens);
            let chosen = rewards.clone().narrow(0, 0, pairs);
            let rejected = rewards.narrow(0, pairs, pairs);
            let losses = self
                .loss
                .forward(chosen.clone(), rejected.clone(), &context)?;
            let forest_sums = PreferenceSums::of_rewards(&losses, &chosen, &rejected);
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
        let stats = sums.map(PreferenceSums::read).unwrap_or_default();
        let distance_sum = distance_sum.map(|sum| f64::from(sum.into_scalar::<f32>()));
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
            stats: RewardStep {
                mean_distance: distance_sum.map(|sum| sum / my_counts.groups.max(1) as f64),
                stats,
            },
        })
    }
}

/// A run on some trees.
struct Ranking<'a> {
    trainer: &'a RewardTrainer,
    trees: &'a [TrainingTree],
    pieces: &'a Pieces<'a>,
    device: Device,
    /// The running mean of the distances of representations, for losses that look at it.
    mean_distance: Option<f64>,
}

impl<M: ForestRewardModel> Objective<M> for Ranking<'_> {
    type Stats = RewardStep;

    fn compute(
        &mut self,
        model: &M,
        trees: StepTrees<'_>,
        optimizer: &mut StepOptimizer,
    ) -> Result<StepOutcome<RewardStep>> {
        let trainer = self.trainer;
        let part = Part {
            step: PackedStep::new(self.trees, self.pieces, trees.members),
            mean_distance: self.mean_distance,
            recompute: trainer.settings.recompute_activations,
        };
        let (device, ranks) = (&self.device, &trainer.ranks);
        trainer.pass(model, part, device, ranks, &mut |loss, tape, share| {
            optimizer.add(model, loss, tape, share);
        })
    }

    fn report(
        &mut self,
        progress: StepProgress,
        RewardStep {
            stats,
            mean_distance,
        }: RewardStep,
        on_event: &mut dyn FnMut(&Event),
    ) {
        if let Some(mean) = mean_distance {
            let loss = &self.trainer.loss;
            self.mean_distance = Some(loss.next_mean_distance(self.mean_distance, mean));
        }
        on_event(&Event::Reward { progress, stats });
    }

    fn memory(&self) -> Memory<'_, M> {
        Memory {
            state: json!(self.mean_distance),
            model: None,
        }
    }

    fn recall(&mut self, state: Value, _model: Option<M>) -> serde_json::Result<()> {
        self.mean_distance = serde_json::from_value(state)?;
        Ok(())
    }
}

/// Trees that go through the model in one pass of the loss.
struct Part<'a> {
    step: PackedStep<'a>,
    /// That of the steps before; without one, that of these trees is taken.
    mean_distance: Option<f64>,
    recompute: bool,
}

/// Statistics of a step besides its loss.
#[derive(Serialize, Deserialize)]
struct RewardStep {
    stats: PreferenceStats,
    mean_distance: Option<f64>,
}

impl StepStats for RewardStep {
    fn merge(self, other: Self) -> Self {
        let (mine, others) = (self.stats.groups as f64, other.stats.groups as f64);
        Self {
            mean_distance: match (self.mean_distance, other.mean_distance) {
                (Some(a), Some(b)) => Some((a * mine + b * others) / (mine + others).max(1.0)),
                (a, b) => a.or(b),
            },
            stats: self.stats.merge(other.stats),
        }
    }
}

/// The distances `[pairs]` of the representations at the ends of each pair: `tokens` are those of chosen responses, then
/// those of rejected ones.
fn distances_at(hidden: &Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<1> {
    let representations = hidden.clone().select(0, tokens);
    let pairs = representations.dims()[0] / 2;
    let [chosen, rejected] =
        [0, pairs].map(|start| representations.clone().narrow(0, start, pairs));
    representation_distances(chosen, rejected)
}

/// The sum of the distances of all pairs of some forests; `model` is without autodiff.
fn sum_of_distances<M: ForestRewardModel>(model: &M, forests: &[GroupForest]) -> f64 {
    let device = plain_device(model);
    let of_forest = |packed: &GroupForest| {
        let tokens = int_tensor(&ends(packed), &device);
        let hidden = model.hidden_states(&ForestBatch::new(packed.forest.clone(), &device));
        f64::from(distances_at(&hidden, tokens).sum().into_scalar::<f32>())
    };
    forests.iter().map(of_forest).sum()
}

/// The rewards of every pair, tree by tree and pair by pair.
///
/// # Errors
///
/// When there are no trees, a path is longer than allowed, or a token is one the model does not know.
pub fn pair_rewards<M: ForestRewardModel>(
    model: &M,
    trees: &[TrainingTree],
    settings: &TrainingConfig,
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
    for packed in Pieces::of_groups(trees, Span::Responses, settings.token_budget)?.pack(&all)? {
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
    settings: &TrainingConfig,
) -> Result<Vec<Vec<f32>>> {
    let of_tree = |(tree, rewards): (&TokenTree, Vec<f32>)| {
        let leaves = tree.leaves().into_iter();
        leaves.map(|leaf| rewards[leaf]).collect()
    };
    let rewards = node_rewards(model, trees, settings)?;
    Ok(trees.iter().zip(rewards).map(of_tree).collect())
}
