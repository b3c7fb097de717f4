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

use crate::activations::{Pass, Tape};
use crate::data::{PairedTree, check_trees};
use crate::evaluation::Evaluation;
use crate::events::Event;
use crate::log_probs::{by_node, node_log_probs, node_target_counts, of_hidden};
use crate::packing::{
    GroupForest, PackedGroup, PairCounts, PairTerms, check_budget, pack_mismatched, pack_pairs,
};
use crate::reference::{ReferenceLogProbs, TreeReference, read};
use crate::run::{
    RunSetup, StepOutcome, StepStats, describe_paired, plain_device, run, training_device,
};
use crate::snapshot::Snapshots;
use crate::{Error, Optimization, Ranks, Result};

/// Where a pair's responses are in its packed group.
const CHOSEN: usize = 0;
const REJECTED: usize = 1;

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
    other_reference: bool,
    ranks: Ranks,
}

/// What a run remembers from step to step.
#[derive(Serialize, Deserialize)]
struct Carried {
    rewards: RewardMean,
    monitor: Option<CollapseMonitor>,
    /// Whether policy and reference were seen to begin as the same model, or need not.
    compared: bool,
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
            other_reference: false,
            ranks: Ranks::default(),
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

    /// Allows a reference that is another model than the one that training begins with. Without it, losses that use a
    /// reference check before the first step that both give the same log-probs: DPO's loss is ln 2 then.
    pub fn with_other_reference(mut self, allowed: bool) -> Self {
        self.other_reference = allowed;
        self
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
    /// Before training: no trees, a path longer than allowed, a token the model does not know, reference log-probs of other
    /// trees or another model, or a loss with a KL term and trees without mismatched completions. During training: a loss or
    /// gradient that is not finite.
    pub fn train<M: ForestModel>(
        &self,
        model: M,
        trees: &[PairedTree],
        reference: &ReferenceLogProbs,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        self.train_evaluated(model, trees, reference, None, on_event)
    }

    /// As [`train`](Self::train), judging the model as it goes.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train), and those of the evaluation.
    pub fn train_evaluated<M: ForestModel>(
        &self,
        model: M,
        trees: &[PairedTree],
        reference: &ReferenceLogProbs,
        evaluation: Option<&mut Evaluation<'_, M>>,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        let settings = &self.settings;
        self.check(trees, reference, model.vocab_size())?;
        let carried = Carried {
            rewards: RewardMean::default(),
            monitor: self.monitor.clone(),
            compared: self.other_reference || !self.loss.needs().reference,
        };
        let device = training_device(&model);
        let ids: Vec<&str> = trees.iter().map(|tree| tree.id.as_str()).collect();
        let unique_tokens: Vec<usize> = trees.iter().map(|it| it.tree.unique_tokens()).collect();
        let setup = RunSetup {
            settings,
            ids: &ids,
            unique_tokens: &unique_tokens,
            ranks: &self.ranks,
            snapshots: self.snapshots.as_ref(),
            objective: json!({ "preference": self.objective }),
            trees: &mut trees.iter().map(describe_paired),
        };
        run(
            model,
            setup,
            carried,
            evaluation,
            on_event,
            |model, members, optimizer, carried| {
                let part = Part {
                    trees: members.iter().map(|&m| &trees[m]).collect(),
                    reference: members.iter().map(|&m| &reference.trees[m]).collect(),
                    reward_shift: carried.rewards.get(),
                    recompute: settings.recompute_activations,
                };
                self.pass(model, &part, &device, &self.ranks, &mut |pass| {
                    if !carried.compared {
                        same_model(&part, &pass)?;
                    }
                    optimizer.add(model, pass.loss, pass.tape, pass.share);
                    Ok(())
                })
            },
            |progress, pairs, carried, on_event| {
                let step = progress.step;
                carried.rewards.add(&pairs);
                carried.compared = true;
                on_event(&Event::Preference { progress, pairs });
                let monitor = carried.monitor.as_mut();
                let warning = monitor.and_then(|it| it.observe(step, &pairs));
                if let Some(warning) = warning {
                    on_event(&Event::Collapse { step, warning });
                }
            },
        )
    }

    /// The loss and statistics of pairs that are not trained on. BCO's shift is 0.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train) before training.
    pub fn held_out<M: ForestModel>(
        &self,
        model: &M,
        trees: &[PairedTree],
        reference: &ReferenceLogProbs,
    ) -> Result<PairStats> {
        self.check(trees, reference, model.vocab_size())?;
        let model = model.valid();
        let part = Part {
            trees: trees.iter().collect(),
            reference: reference.trees.iter().collect(),
            reward_shift: 0.0,
            recompute: false,
        };
        let device = plain_device(&model);
        let alone = Ranks::default();
        let outcome = self.pass(&model, &part, &device, &alone, &mut |_| Ok(()))?;
        Ok(outcome.stats)
    }

    fn check(
        &self,
        trees: &[PairedTree],
        reference: &ReferenceLogProbs,
        vocab_size: usize,
    ) -> Result<()> {
        check_paired(trees, &self.settings, vocab_size)?;
        reference.check(trees)?;
        if self.loss.needs().kl && trees.iter().any(|tree| tree.mismatched.is_empty()) {
            return Err(Error::Loss(pref_losses::Error::MissingKl));
        }
        Ok(())
    }

    /// The losses of all pairs of some trees, forest by forest; `consume` is given each forest's.
    fn pass<M: ForestModel>(
        &self,
        model: &M,
        part: &Part<'_>,
        device: &Device,
        ranks: &Ranks,
        consume: &mut dyn FnMut(ForestPass<'_>) -> Result<()>,
    ) -> Result<StepOutcome<PairStats>> {
        let settings = &self.settings;
        let mut forests = Vec::new();
        let mine = self.prepare(model, part).map(|(packed, totals)| {
            forests = packed;
            totals
        });
        let my_counts = mine.as_ref().map(|it| it.counts).unwrap_or_default();
        let all = ranks.exchange(mine)?;
        let counts: PairCounts = all.iter().map(|it| it.counts).sum();
        let of_all = |of: fn(&StepTotals) -> &Vec<f32>| {
            let values = all.iter().flat_map(|it| of(it).iter().copied());
            constant(values.collect(), device)
        };
        let kl = if self.loss.needs().kl {
            let policy = of_all(|totals| &totals.mismatched_policy);
            self.loss
                .kl(policy, of_all(|totals| &totals.mismatched_reference))
        } else {
            None
        };
        let mut context = PairContext {
            kl: kl.clone(),
            reward_shift: part.reward_shift,
            mean_chosen_tokens: Some(counts.chosen_tokens as f64 / counts.pairs.max(1) as f64),
            ..PairContext::default()
        };
        let forest_count = forests.len();
        let mut sums: Option<PairSums> = None;
        let mut terms = Vec::new();
        for packed in forests {
            let share = packed.forest.len() as f64 / counts.unique_tokens as f64;
            let groups = packed.groups.clone();
            let places = [CHOSEN, REJECTED].map(|place| packed.column(place).collect());
            let [chosen, rejected]: [Vec<u32>; 2] = places;
            let node_counts = node_target_counts(&packed.forest);
            let lengths = |nodes: &[u32]| {
                let count = |&node: &u32| node_counts[node as usize];
                constant(nodes.iter().map(count).collect(), device)
            };
            context.lengths = Some(PairLengths {
                chosen: lengths(&chosen),
                rejected: lengths(&rejected),
            });
            let batch = ForestBatch::new(packed.forest, device);
            let pass = Pass::of_model(model, &batch, part.recompute)?;
            let log_probs = of_hidden(model, pass.hidden, &batch, settings.log_prob_chunk);
            let policy = by_node(log_probs, &batch);
            let nodes = |indices: &[u32]| policy.clone().select(0, int_tensor(indices, device));
            let of_reference = |of: fn(&TreeReference) -> &Vec<f32>| {
                let value = |pair: &PackedGroup| of(part.reference[pair.tree])[pair.index];
                constant(groups.iter().map(value).collect(), device)
            };
            let log_probs = PairLogProbs {
                policy_chosen: nodes(&chosen),
                policy_rejected: nodes(&rejected),
                reference_chosen: of_reference(|tree| &tree.chosen),
                reference_rejected: of_reference(|tree| &tree.rejected),
            };
            let output = self.loss.forward(log_probs.clone(), &context)?;
            let mut forest_sums = PairSums::of(&output, &log_probs);
            if let Some(kl) = &kl {
                forest_sums = forest_sums.with_kl(kl);
            }
            sums = Some(match sums {
                Some(sums) => sums.merge(forest_sums),
                None => forest_sums,
            });
            terms.push(PairTerms {
                groups: groups.clone(),
                terms: [
                    (
                        "the policy's log-prob of the chosen response",
                        &log_probs.policy_chosen,
                    ),
                    (
                        "the policy's log-prob of the rejected response",
                        &log_probs.policy_rejected,
                    ),
                    ("the loss", &output.losses),
                ]
                .map(|(name, values)| (name, values.clone().detach())),
            });
            consume(ForestPass {
                loss: output.losses.sum() / counts.pairs as f64,
                tape: pass.tape,
                share,
                groups: &groups,
                counts: [&chosen, &rejected].map(|nodes| {
                    nodes
                        .iter()
                        .map(|&node| node_counts[node as usize])
                        .collect()
                }),
                log_probs: &log_probs,
            })?;
        }
        let stats = sums.map(PairSums::read).unwrap_or_default();
        let mut not_finite = Vec::new();
        if !stats.loss.is_finite() {
            if let Some(kl) = kl.filter(|kl| !kl.clone().into_scalar::<f32>().is_finite()) {
                not_finite.push(format!("the KL estimate is {}", kl.into_scalar::<f32>()));
            }
            not_finite.extend(terms.into_iter().flat_map(|it| it.name(&part.trees)));
        }
        Ok(StepOutcome {
            loss: stats.loss * (my_counts.pairs as f64 / counts.pairs as f64),
            unique_tokens: my_counts.unique_tokens,
            naive_tokens: naive_tokens(&part.trees),
            forests: forest_count,
            not_finite,
            stats,
        })
    }

    /// Packs a rank's pairs, and counts what the loss of the whole step depends on.
    fn prepare<M: ForestModel>(
        &self,
        model: &M,
        part: &Part<'_>,
    ) -> Result<(Vec<GroupForest>, StepTotals)> {
        let settings = &self.settings;
        let forests = pack_pairs(&part.trees, settings.token_budget)?;
        let mut totals = StepTotals {
            counts: PairCounts::of(&forests),
            ..StepTotals::default()
        };
        if self.loss.needs().kl {
            let model = model.valid();
            let plain = plain_device(&model);
            for packed in pack_mismatched(&part.trees, settings.token_budget)? {
                let batch = ForestBatch::new(packed.forest, &plain);
                let values = read(node_log_probs(&model, &batch, settings.log_prob_chunk));
                for leaf in &packed.groups {
                    let reference = part.reference[leaf.tree].mismatched[leaf.index];
                    totals
                        .mismatched_policy
                        .push(values[leaf.nodes[0] as usize]);
                    totals.mismatched_reference.push(reference);
                }
            }
        }
        Ok((forests, totals))
    }
}

/// A rank's part of what the losses of a whole step depend on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct StepTotals {
    counts: PairCounts,
    /// Log-probs of the mismatched completions, of which the KL estimate is the mean difference.
    mismatched_policy: Vec<f32>,
    mismatched_reference: Vec<f32>,
}

impl StepStats for PairStats {
    fn merge(self, other: Self) -> Self {
        self.merge(other)
    }
}

/// Trees that go through the model in one pass of the loss.
struct Part<'a> {
    trees: Vec<&'a PairedTree>,
    reference: Vec<&'a TreeReference>,
    reward_shift: f64,
    recompute: bool,
}

/// The pairs of one forest.
struct ForestPass<'a> {
    /// Their part of the mean loss.
    loss: Tensor<1>,
    tape: Tape<'a>,
    share: f64,
    groups: &'a [PackedGroup],
    /// Target tokens of chosen and rejected responses.
    counts: [Vec<f32>; 2],
    log_probs: &'a PairLogProbs,
}

/// The largest difference between policy and reference that two passes of one model may have, in nats a token.
const SAME_MODEL: f64 = 0.02;

/// Checks that policy and reference are the same model yet.
fn same_model(part: &Part<'_>, pass: &ForestPass<'_>) -> Result<()> {
    let log_probs = pass.log_probs;
    let sides = [
        (&log_probs.policy_chosen, &log_probs.reference_chosen),
        (&log_probs.policy_rejected, &log_probs.reference_rejected),
    ];
    for ((policy, reference), counts) in sides.into_iter().zip(&pass.counts) {
        let values = read(policy.clone())
            .into_iter()
            .zip(read(reference.clone()));
        let rows = values.zip(counts).zip(pass.groups);
        let largest = rows
            .map(|(((policy, reference), count), group)| {
                let difference = f64::from(policy - reference).abs() / f64::from(count.max(1.0));
                (difference, group.tree)
            })
            // What is not a number is reported as such by the run.
            .filter(|(difference, _)| difference.is_finite())
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((difference, tree)) = largest.filter(|it| it.0 > SAME_MODEL) {
            return Err(Error::OtherReference {
                id: part.trees[tree].id.clone(),
                difference,
            });
        }
    }
    Ok(())
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
