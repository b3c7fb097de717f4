//! Preference learning on whole trees: every history is computed once for all pairs that share it.

mod forest_pass;
mod objective;
mod paired;
mod scored;
mod unpaired;

use burn::tensor::{Device, Tensor};
use eurus_models::{ForestBatch, ForestModel};
use pref_losses::{
    CollapseMonitor, CollapseMonitorConfig, PreferenceLoss, PreferenceLossConfig, ScoredLoss,
    ScoredLossConfig, UnpairedLoss, UnpairedLossConfig,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use token_forest::{GroupForest, Pieces, TrainingTree};

use crate::activations::Pass;
use crate::evaluation::Evaluation;
use crate::events::Event;
use crate::examples::check_examples;
use crate::log_probs::{by_node, node_log_probs, node_target_counts, of_hidden};
use crate::reference::{ReferenceLogProbs, read};
use crate::run::{RunSetup, StepOutcome, StepTrees, plain_device, run, training_device};
use crate::snapshot::Snapshots;
use crate::step::{GroupCounts, GroupTerms};
use crate::{Error, Optimization, Ranks, Result};

use forest_pass::{ForestPass, GroupResponses, LossPieces, Part, same_model};

pub use objective::{ForestLosses, ForestResponses, ResponseLoss, StepContext};

fn constant(values: Vec<f32>, device: &Device) -> Tensor<1> {
    Tensor::from_floats(values.as_slice(), device)
}

/// Trains a language model on preference pairs, on responses that have a verdict each, or on several scored responses to a
/// prompt.
///
/// [`new`](Self::new) takes a loss over pairs, [`unpaired`](PreferenceTrainer::unpaired) one over single responses with a
/// verdict, [`scored`](PreferenceTrainer::scored) one over K responses with scores; the groups of the
/// [`TrainingTree`]s must be of that [kind](TrainingTree::kind). Every preference loss of `pref_losses` can be trained.
///
/// The loss of a step is the mean over all its pairs, responses or prompts, however they are split into forests; KTO's KL
/// estimate is taken over the whole step before any gradient, and BCO's shift is the mean reward of all steps before. Losses
/// that look at the batch as a whole (AOT, `kto_pair`) see the pairs of one forest at a time.
///
/// A [monitor](pref_losses::collapse) watches the statistics of the steps and reports [`Event::Collapse`] when chosen
/// responses are being unlearned, once of each kind. It changes nothing else.
#[derive(Debug, Clone)]
pub struct PreferenceTrainer<L = PreferenceLoss> {
    settings: Optimization,
    loss: L,
    /// The loss as it was described, for the identity of a run.
    objective: Value,
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
}

/// Mean reward of the responses seen so far.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RewardMean {
    sum: f64,
    responses: f64,
}

impl RewardMean {
    fn add(&mut self, (sum, responses): (f64, f64)) {
        self.sum += sum;
        self.responses += responses;
    }

    fn get(&self) -> f64 {
        self.sum / self.responses.max(1.0)
    }
}

impl PreferenceTrainer {
    /// A trainer on pairs with these settings and this loss.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn new(settings: Optimization, loss: &PreferenceLossConfig) -> Result<Self> {
        Self::with_loss(settings, loss.init()?, json!({ "preference": loss }))
    }
}

impl PreferenceTrainer<UnpairedLoss> {
    /// A trainer on single responses with these settings and this loss.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use eurus_models::{Decoder, DecoderConfig};
    /// use eurus_train::{Optimization, PreferenceTrainer, ReferenceLogProbs};
    /// use pref_losses::{KtoConfig, UnpairedLossConfig};
    /// use token_forest::{Group, TokenTree, TrainingTree, add_mismatched};
    ///
    /// # fn main() -> eurus_train::Result<()> {
    /// let policy = Decoder::init(&DecoderConfig::llama(32, 16, 2, 2), 7, &Device::flex());
    /// // Three answers to one prompt, and one to another; the prompt of the three is computed once.
    /// let rollouts = |prompt: Vec<u32>, answers: &[(u32, bool)]| {
    ///     let mut tree = TokenTree::new(prompt, false);
    ///     let mut judge = |&(token, desirable)| {
    ///         Group::verdict(tree.push(0, vec![token, 9], true), desirable)
    ///     };
    ///     let responses = answers.iter().map(&mut judge).collect();
    ///     TrainingTree::new(format!("{answers:?}"), &tree, responses)
    /// };
    /// let mut trees = [
    ///     rollouts(vec![1, 2, 3], &[(4, true), (5, false), (6, false)])?,
    ///     rollouts(vec![1, 7], &[(8, true)])?,
    /// ];
    /// add_mismatched(&mut trees, 0)?;
    ///
    /// let settings = Optimization { learning_rate: 1e-2, epochs: 2, ..Optimization::default() };
    /// let reference = ReferenceLogProbs::compute(&policy, &trees, &settings, &mut |_| {})?;
    /// let loss = UnpairedLossConfig::Kto(KtoConfig::new());
    /// let mut losses = Vec::new();
    /// let _trained = PreferenceTrainer::unpaired(settings, &loss)?.train(policy, &trees, &reference, &mut |event| {
    ///     losses.extend(event.progress().map(|step| step.loss));
    /// })?;
    /// assert!(losses[1] < losses[0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn unpaired(settings: Optimization, loss: &UnpairedLossConfig) -> Result<Self> {
        Self::with_loss(settings, loss.init()?, json!({ "unpaired": loss }))
    }
}

impl PreferenceTrainer<ScoredLoss> {
    /// A trainer on several scored responses to a prompt, with these settings and this loss.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use eurus_models::{Decoder, DecoderConfig};
    /// use eurus_train::{Optimization, PreferenceTrainer, ReferenceLogProbs};
    /// use pref_losses::{NcaKConfig, ScoredLossConfig};
    /// use token_forest::{Group, TokenTree, TrainingTree};
    ///
    /// # fn main() -> eurus_train::Result<()> {
    /// let policy = Decoder::init(&DecoderConfig::llama(32, 16, 2, 2), 7, &Device::flex());
    /// // Three rollouts of one prompt, scored by a reward model.
    /// let mut tree = TokenTree::new(vec![1, 2, 3], false);
    /// let mut rollout = |token, score| (tree.push(0, vec![token, 9], true), score);
    /// let rollouts = Group::scored([rollout(4, 0.1), rollout(5, 2.0), rollout(6, -1.3)]);
    /// let trees = [TrainingTree::new("p1", &tree, vec![rollouts])?];
    ///
    /// let settings = Optimization { learning_rate: 1e-2, epochs: 2, ..Optimization::default() };
    /// let reference = ReferenceLogProbs::compute(&policy, &trees, &settings, &mut |_| {})?;
    /// let loss = ScoredLossConfig::NcaK(NcaKConfig::new());
    /// let mut losses = Vec::new();
    /// let _trained = PreferenceTrainer::scored(settings, &loss)?.train(policy, &trees, &reference, &mut |event| {
    ///     losses.extend(event.progress().map(|step| step.loss));
    /// })?;
    /// assert!((losses[0] - 4f64.ln()).abs() < 1e-4 && losses[1] < losses[0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn scored(settings: Optimization, loss: &ScoredLossConfig) -> Result<Self> {
        Self::with_loss(settings, loss.init()?, json!({ "scored": loss }))
    }
}

impl<L: ResponseLoss> PreferenceTrainer<L> {
    fn with_loss(settings: Optimization, loss: L, objective: Value) -> Result<Self> {
        settings.validate()?;
        Ok(Self {
            settings,
            loss,
            objective,
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
        trees: &[TrainingTree],
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
        trees: &[TrainingTree],
        reference: &ReferenceLogProbs,
        evaluation: Option<&mut Evaluation<'_, M>>,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        let settings = &self.settings;
        self.check(trees, reference, model.vocab_size())?;
        let carried = Carried {
            rewards: RewardMean::default(),
            monitor: self.monitor.clone(),
        };
        let device = training_device(&model);
        let has_reference = self.loss.needs().reference;
        let begins_as_reference = has_reference && !self.other_reference;
        let pieces = self.pieces(trees)?;
        let setup = RunSetup {
            settings,
            examples: trees,
            pieces: &pieces.groups.sizes(),
            ranks: &self.ranks,
            snapshots: self.snapshots.as_ref(),
            objective: self.objective.clone(),
            reference: has_reference.then(|| reference.mean()),
        };
        run(
            model,
            setup,
            carried,
            evaluation,
            on_event,
            |model, mine, optimizer, carried| {
                let StepTrees { step, members } = mine;
                let part = Part {
                    trees: members.iter().map(|&m| &trees[m]).collect(),
                    reference: members.iter().map(|&m| &reference.trees[m]).collect(),
                    members,
                    pieces: &pieces,
                    reward_shift: carried.rewards.get(),
                    recompute: settings.recompute_activations,
                };
                self.pass(model, &part, &device, &self.ranks, &mut |pass| {
                    if begins_as_reference && step == 0 {
                        same_model(&part, &pass)?;
                    }
                    optimizer.add(model, pass.loss, pass.tape, pass.share);
                    Ok(())
                })
            },
            |progress, stats, carried, on_event| {
                let step = progress.step;
                carried.rewards.add(L::rewards(&stats));
                on_event(&L::event(progress, stats));
                let monitor = carried.monitor.as_mut();
                let warning = monitor.and_then(|it| it.observe(step, &L::watched(&stats)?));
                if let Some(warning) = warning {
                    on_event(&Event::Collapse { step, warning });
                }
            },
        )
    }

    /// The loss and statistics of pairs or responses that are not trained on. BCO's shift is 0.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train) before training.
    pub fn held_out<M: ForestModel>(
        &self,
        model: &M,
        trees: &[TrainingTree],
        reference: &ReferenceLogProbs,
    ) -> Result<L::Stats> {
        self.check(trees, reference, model.vocab_size())?;
        let model = self.settings.precision.of(model.valid());
        let pieces = self.pieces(trees)?;
        let all: Vec<usize> = (0..trees.len()).collect();
        let part = Part {
            trees: trees.iter().collect(),
            reference: reference.trees.iter().collect(),
            members: &all,
            pieces: &pieces,
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
        trees: &[TrainingTree],
        reference: &ReferenceLogProbs,
        vocab_size: usize,
    ) -> Result<()> {
        check_examples(trees, L::KIND, &self.settings, vocab_size)?;
        reference.check(trees)?;
        let mut groups = trees.iter().flat_map(TrainingTree::groups);
        if self.loss.needs().kl && groups.any(|group| group.mismatched.is_none()) {
            return Err(Error::Loss(pref_losses::Error::MissingKl));
        }
        Ok(())
    }

    /// The trees' groups, and their mismatched responses if the loss looks at these, cut to the budget.
    fn pieces<'a>(&self, trees: &'a [TrainingTree]) -> Result<LossPieces<'a>> {
        let budget = self.settings.token_budget;
        let kl = self.loss.needs().kl;
        Ok(LossPieces {
            groups: Pieces::of_groups(trees, budget)?,
            mismatched: kl
                .then(|| Pieces::of_mismatched(trees, budget))
                .transpose()?,
        })
    }

    /// The losses of all groups of some trees, forest by forest; `consume` is given each forest's.
    fn pass<M: ForestModel>(
        &self,
        model: &M,
        part: &Part<'_>,
        device: &Device,
        ranks: &Ranks,
        consume: &mut dyn FnMut(ForestPass<'_>) -> Result<()>,
    ) -> Result<StepOutcome<L::Stats>> {
        let settings = &self.settings;
        let mut forests = Vec::new();
        let mine = self.prepare(model, part).map(|(packed, totals)| {
            forests = packed;
            totals
        });
        let my_counts = mine.as_ref().map(|it| it.counts).unwrap_or_default();
        let all = ranks.exchange(mine)?;
        let counts: GroupCounts = all.iter().map(|it| it.counts).sum();
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
        let context = StepContext {
            kl: kl.clone(),
            reward_shift: part.reward_shift,
            mean_first_tokens: counts.first_tokens as f64 / counts.groups.max(1) as f64,
        };
        let forest_count = forests.len();
        let mut sums: Option<L::Sums> = None;
        let mut terms = Vec::new();
        for packed in forests {
            let share = packed.forest.len() as f64 / counts.unique_tokens as f64;
            let node_counts = node_target_counts(&packed.forest);
            let groups = packed.groups_by_size();
            let batch = ForestBatch::new(packed.forest, device);
            let pass = Pass::of_model(model, &batch, part.recompute)?;
            let log_probs = of_hidden(model, pass.hidden, &batch, settings.log_prob_chunk);
            let by_node = by_node(log_probs, &batch);
            let mut loss: Option<Tensor<1>> = None;
            let mut responses = Vec::with_capacity(groups.len());
            for groups in groups {
                let of_groups = GroupResponses::new(groups, part, &by_node, &node_counts);
                let forest = self.loss.of_forest(of_groups.for_loss(part), &context)?;
                sums = Some(match sums {
                    Some(sums) => L::merge_sums(sums, forest.sums),
                    None => forest.sums,
                });
                let named = forest.terms.into_iter();
                terms.push(GroupTerms {
                    groups: of_groups.groups.clone(),
                    terms: named
                        .map(|(name, values)| (name, values.detach()))
                        .collect(),
                });
                let sum = forest.losses.sum();
                loss = Some(match loss {
                    Some(loss) => loss + sum,
                    None => sum,
                });
                responses.push(of_groups);
            }
            // A forest has groups, or it would not be there.
            if let Some(loss) = loss {
                consume(ForestPass {
                    loss: loss / counts.groups as f64,
                    tape: pass.tape,
                    share,
                    responses: &responses,
                })?;
            }
        }
        let stats = sums.map(L::read).unwrap_or_default();
        let loss = L::mean_loss(&stats);
        let mut not_finite = Vec::new();
        if !loss.is_finite() {
            if let Some(kl) = kl.filter(|kl| !kl.clone().into_scalar::<f32>().is_finite()) {
                not_finite.push(format!("the KL estimate is {}", kl.into_scalar::<f32>()));
            }
            let id = |tree: usize| part.trees[tree].id();
            not_finite.extend(
                terms
                    .into_iter()
                    .flat_map(|it| it.name(L::KIND.nouns()[0], id)),
            );
        }
        Ok(StepOutcome {
            loss: loss * (my_counts.groups as f64 / counts.groups as f64),
            unique_tokens: my_counts.unique_tokens,
            naive_tokens: part.trees.iter().map(|tree| tree.naive_tokens()).sum(),
            forests: forest_count,
            not_finite,
            stats,
        })
    }

    /// Packs a rank's groups, and counts what the loss of the whole step depends on.
    fn prepare<M: ForestModel>(
        &self,
        model: &M,
        part: &Part<'_>,
    ) -> Result<(Vec<GroupForest>, StepTotals)> {
        let settings = &self.settings;
        let forests = part.pieces.groups.pack(part.members)?;
        let mut totals = StepTotals {
            counts: GroupCounts::of(&forests),
            ..StepTotals::default()
        };
        if let Some(mismatched) = &part.pieces.mismatched {
            let model = model.valid();
            let plain = plain_device(&model);
            for packed in mismatched.pack(part.members)? {
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
    counts: GroupCounts,
    /// Log-probs of the mismatched completions, of which the KL estimate is the mean difference.
    mismatched_policy: Vec<f32>,
    mismatched_reference: Vec<f32>,
}
