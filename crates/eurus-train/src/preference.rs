//! Preference learning on whole trees: every history is computed once for all pairs that share it.

use burn::tensor::{Device, Tensor};
use eurus_models::{ForestBatch, ForestModel, int_tensor};
use pref_losses::stats::PairSums;
use pref_losses::{
    CollapseMonitor, CollapseMonitorConfig, PairContext, PairLengths, PairLogProbs, PairStats,
    PreferenceLoss, PreferenceLossConfig,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{PairedTree, check_trees};
use crate::events::Event;
use crate::log_probs::{TrainingPass, by_node, node_log_probs, node_target_counts};
use crate::packing::{PackedGroup, check_budget, pack_mismatched, pack_pairs};
use crate::run::{RunSetup, StepOutcome, describe_paired, plain_device, run, training_device};
use crate::snapshot::Snapshots;
use crate::{Error, Optimization, Result};

/// Where a pair's responses are in its packed group.
const CHOSEN: usize = 0;
const REJECTED: usize = 1;

/// Log-probs of every pair's responses under the reference model, computed once and shared by any number of runs on
/// the same trees.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceLogProbs {
    trees: Vec<TreeReference>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct TreeReference {
    chosen: Vec<f32>,
    rejected: Vec<f32>,
    mismatched: Vec<f32>,
}

impl ReferenceLogProbs {
    /// Computes them with the same packing and the same operator that training uses.
    ///
    /// # Errors
    ///
    /// When a path is longer than allowed, a token is one the model does not know, or a number is not finite.
    pub fn compute<M: ForestModel>(
        model: &M,
        trees: &[PairedTree],
        settings: &Optimization,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Self> {
        check_paired(trees, settings, model.vocab_size())?;
        let model = model.valid();
        let device = plain_device(&model);
        let mut result: Vec<TreeReference> = trees
            .iter()
            .map(|tree| TreeReference {
                chosen: vec![0.0; tree.pairs.len()],
                rejected: vec![0.0; tree.pairs.len()],
                mismatched: vec![0.0; tree.mismatched.len()],
            })
            .collect();
        let pairs = trees.iter().map(|tree| tree.pairs.len()).sum();
        let mut done = 0;
        // Trees in groups, so that progress is seen and the packing of one group is held at a time.
        let group = settings.trees_per_step.max(64);
        for first in (0..trees.len()).step_by(group) {
            let members: Vec<&PairedTree> = trees[first..].iter().take(group).collect();
            for packed in pack_pairs(&members, settings.token_budget)? {
                let batch = ForestBatch::new(packed.forest, &device);
                let values = read(node_log_probs(&model, &batch, settings.log_prob_chunk));
                for pair in &packed.groups {
                    let tree = &mut result[first + pair.tree];
                    tree.chosen[pair.index] = values[pair.nodes[CHOSEN] as usize];
                    tree.rejected[pair.index] = values[pair.nodes[REJECTED] as usize];
                }
                done += packed.groups.len();
                on_event(&Event::Reference { done, pairs });
            }
            for packed in pack_mismatched(&members, settings.token_budget)? {
                let batch = ForestBatch::new(packed.forest, &device);
                let values = read(node_log_probs(&model, &batch, settings.log_prob_chunk));
                for leaf in &packed.groups {
                    result[first + leaf.tree].mismatched[leaf.index] =
                        values[leaf.nodes[0] as usize];
                }
            }
        }
        Ok(Self { trees: result })
    }

    fn pair_count(&self) -> usize {
        self.trees.iter().map(|tree| tree.chosen.len()).sum()
    }

    fn check(&self, trees: &[PairedTree]) -> Result<()> {
        let same = self.trees.len() == trees.len()
            && self.trees.iter().zip(trees).all(|(reference, tree)| {
                reference.chosen.len() == tree.pairs.len()
                    && reference.mismatched.len() == tree.mismatched.len()
            });
        if same {
            Ok(())
        } else {
            Err(Error::StaleReference {
                expected: self.pair_count(),
                found: trees.iter().map(|tree| tree.pairs.len()).sum(),
            })
        }
    }
}

fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn constant(values: Vec<f32>, device: &Device) -> Tensor<1> {
    Tensor::from_floats(values.as_slice(), device)
}

pub(crate) fn check_paired(
    trees: &[PairedTree],
    settings: &Optimization,
    vocab_size: usize,
) -> Result<()> {
    if trees.is_empty() {
        return Err(Error::NoData { what: "pairs" });
    }
    check_trees(
        trees.iter().map(|tree| (tree.id.as_str(), &tree.tree)),
        settings.max_path_tokens,
        vocab_size,
    )?;
    check_budget(trees, settings.token_budget)
}

/// Trains a language model on preference pairs.
///
/// The loss of a step is the mean over all its pairs, however they are split into forests; KTO's KL estimate is taken
/// over the whole step before any gradient, and BCO's shift is the mean reward of all steps before. Every loss of
/// `pref_losses` over pairs can be trained; those that look at the batch as a whole (AOT, `kto_pair`) see the pairs of one
/// forest at a time.
///
/// A [monitor](pref_losses::collapse) watches the statistics of the steps and reports [`Event::Collapse`] when chosen
/// responses are being unlearned, once of each kind. It changes nothing else.
#[derive(Debug, Clone)]
pub struct PreferenceTrainer {
    settings: Optimization,
    loss: PreferenceLoss,
    objective: PreferenceLossConfig,
    /// As it is before a run.
    monitor: Option<CollapseMonitor>,
    snapshots: Option<Snapshots>,
}

/// What a run remembers from step to step.
#[derive(Serialize, Deserialize)]
struct Carried {
    rewards: RewardMean,
    monitor: Option<CollapseMonitor>,
}

/// Mean reward of the responses seen so far.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RewardMean {
    sum: f64,
    responses: f64,
}

impl RewardMean {
    fn add(&mut self, stats: &PairStats) {
        let pairs = stats.pairs as f64;
        self.sum += pairs * (stats.chosen_reward + stats.rejected_reward);
        self.responses += 2.0 * pairs;
    }

    fn get(&self) -> f64 {
        self.sum / self.responses.max(1.0)
    }
}

impl PreferenceTrainer {
    /// A trainer with these settings and this loss.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn new(settings: Optimization, loss: &PreferenceLossConfig) -> Result<Self> {
        settings.validate()?;
        Ok(Self {
            settings,
            loss: loss.init()?,
            objective: loss.clone(),
            monitor: Some(CollapseMonitorConfig::new().init()?),
            snapshots: None,
        })
    }

    /// Saves the state of the run as it goes, and goes on from it if asked. The reference log-probs are those of the model
    /// that the run began with, whichever snapshot it goes on from.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn with_snapshots(mut self, snapshots: Option<Snapshots>) -> Result<Self> {
        snapshots.as_ref().map_or(Ok(()), Snapshots::validate)?;
        self.snapshots = snapshots;
        Ok(self)
    }

    /// Sets when a run counts as collapsing; `None` switches the monitor off. It is on by default.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn with_collapse_monitor(
        mut self,
        monitor: Option<&CollapseMonitorConfig>,
    ) -> Result<Self> {
        self.monitor = monitor.map(CollapseMonitorConfig::init).transpose()?;
        Ok(self)
    }

    /// Trains and returns the trained model, without autodiff.
    ///
    /// # Errors
    ///
    /// Before training: no trees, a path longer than allowed, a token the model does not know, reference log-probs of other trees, or a loss with a KL
    /// term and trees without mismatched completions. During training: a loss or gradient that is not finite.
    pub fn train<M: ForestModel>(
        &self,
        model: M,
        trees: &[PairedTree],
        reference: &ReferenceLogProbs,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        let settings = &self.settings;
        check_paired(trees, settings, model.vocab_size())?;
        reference.check(trees)?;
        if self.loss.needs().kl && trees.iter().any(|tree| tree.mismatched.is_empty()) {
            return Err(Error::Loss(pref_losses::Error::MissingKl));
        }
        let carried = Carried {
            rewards: RewardMean::default(),
            monitor: self.monitor.clone(),
        };
        let device = training_device(&model);
        let ids: Vec<&str> = trees.iter().map(|tree| tree.id.as_str()).collect();
        let setup = RunSetup {
            settings,
            ids: &ids,
            snapshots: self.snapshots.as_ref(),
            objective: json!({ "preference": self.objective }),
            trees: &mut trees.iter().map(describe_paired),
        };
        run(
            model,
            setup,
            carried,
            on_event,
            |model, members, optimizer, carried| {
                let step_trees: Vec<&PairedTree> = members.iter().map(|&m| &trees[m]).collect();
                let step_reference: Vec<&TreeReference> =
                    members.iter().map(|&m| &reference.trees[m]).collect();
                let kl = self.kl(model, &step_trees, &step_reference)?;
                let forests = pack_pairs(&step_trees, settings.token_budget)?;
                let pair_count: usize = forests.iter().map(|packed| packed.groups.len()).sum();
                let chosen_tokens: f64 = forests
                    .iter()
                    .map(|packed| {
                        let counts = node_target_counts(&packed.forest);
                        let of_chosen = packed.column(CHOSEN).map(|node| counts[node as usize]);
                        of_chosen.map(f64::from).sum::<f64>()
                    })
                    .sum();
                let mut context = PairContext {
                    kl: kl.clone(),
                    reward_shift: carried.rewards.get(),
                    mean_chosen_tokens: Some(chosen_tokens / pair_count.max(1) as f64),
                    ..PairContext::default()
                };
                let unique_tokens: usize = forests.iter().map(|it| it.forest.len()).sum();
                let forest_count = forests.len();
                let mut sums: Option<PairSums> = None;
                for packed in forests {
                    let share = packed.forest.len() as f64 / unique_tokens as f64;
                    let groups = packed.groups.clone();
                    let places = [CHOSEN, REJECTED].map(|place| packed.column(place).collect());
                    let [chosen, rejected]: [Vec<u32>; 2] = places;
                    let counts = node_target_counts(&packed.forest);
                    let lengths = |nodes: &[u32]| {
                        let count = |&node: &u32| counts[node as usize];
                        constant(nodes.iter().map(count).collect(), &device)
                    };
                    context.lengths = Some(PairLengths {
                        chosen: lengths(&chosen),
                        rejected: lengths(&rejected),
                    });
                    let batch = ForestBatch::new(packed.forest, &device);
                    let pass = TrainingPass::new(model, &batch, settings.log_prob_chunk);
                    let policy = by_node(pass.log_probs, &batch);
                    let nodes =
                        |indices: &[u32]| policy.clone().select(0, int_tensor(indices, &device));
                    let of_reference = |of: fn(&TreeReference) -> &Vec<f32>| {
                        let value = |pair: &PackedGroup| of(step_reference[pair.tree])[pair.index];
                        constant(groups.iter().map(value).collect(), &device)
                    };
                    let log_probs = PairLogProbs {
                        policy_chosen: nodes(&chosen),
                        policy_rejected: nodes(&rejected),
                        reference_chosen: of_reference(|tree| &tree.chosen),
                        reference_rejected: of_reference(|tree| &tree.rejected),
                    };
                    let output = self.loss.forward(log_probs.clone(), &context)?;
                    let mut batch_sums = PairSums::of(&output, &log_probs);
                    if let Some(kl) = &kl {
                        batch_sums = batch_sums.with_kl(kl);
                    }
                    sums = Some(match sums {
                        Some(sums) => sums.merge(batch_sums),
                        None => batch_sums,
                    });
                    let loss = output.losses.sum() / pair_count as f64;
                    optimizer.add(model, loss, pass.auxiliary, share);
                }
                let stats = sums.map(PairSums::read).unwrap_or_default();
                Ok(StepOutcome {
                    loss: stats.loss,
                    unique_tokens,
                    naive_tokens: naive_tokens(&step_trees),
                    forests: forest_count,
                    stats,
                })
            },
            |progress, pairs, carried, on_event| {
                let step = progress.step;
                carried.rewards.add(&pairs);
                on_event(&Event::Preference { progress, pairs });
                let monitor = carried.monitor.as_mut();
                let warning = monitor.and_then(|it| it.observe(step, &pairs));
                if let Some(warning) = warning {
                    on_event(&Event::Collapse { step, warning });
                }
            },
        )
    }

    /// The KL estimate over all mismatched completions of a step, if the loss wants one.
    fn kl<M: ForestModel>(
        &self,
        model: &M,
        trees: &[&PairedTree],
        reference: &[&TreeReference],
    ) -> Result<Option<Tensor<1>>> {
        if !self.loss.needs().kl {
            return Ok(None);
        }
        let model = model.valid();
        let device = plain_device(&model);
        let mut policy_values = Vec::new();
        let mut reference_values = Vec::new();
        for packed in pack_mismatched(trees, self.settings.token_budget)? {
            let batch = ForestBatch::new(packed.forest, &device);
            let values = read(node_log_probs(&model, &batch, self.settings.log_prob_chunk));
            for leaf in &packed.groups {
                policy_values.push(values[leaf.nodes[0] as usize]);
                reference_values.push(reference[leaf.tree].mismatched[leaf.index]);
            }
        }
        let device = device.autodiff();
        Ok(self.loss.kl(
            constant(policy_values, &device),
            constant(reference_values, &device),
        ))
    }
}

/// Tokens of every pair as two full rows.
pub(crate) fn naive_tokens(trees: &[&PairedTree]) -> usize {
    trees
        .iter()
        .map(|tree| {
            let pairs: Vec<(usize, usize)> = tree
                .pairs
                .iter()
                .map(|pair| (pair.chosen, pair.rejected))
                .collect();
            tree.tree.naive_tokens(&pairs)
        })
        .sum()
}
