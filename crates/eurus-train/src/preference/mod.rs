//! Preference learning on whole trees: every history is computed once for all pairs that share it.

mod forest_pass;
mod objective;
mod reference_sync;

use burn::tensor::{Device, Tensor};
use eurus_models::{ForestBatch, ForestModel, contract};
use pref_losses::collapse::{CollapseMonitor, CollapseMonitorConfig};
use pref_losses::{PreferenceStats, PreferenceSums};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use token_forest::{GroupForest, Pieces, TrainingTree};

use crate::activations::Pass;
use crate::evaluation::Evaluation;
use crate::events::Event;
use crate::events::StepProgress;
use crate::examples::check_examples;
use crate::log_probs::{by_node, node_log_probs, of_hidden, of_hidden_with_weights};
use crate::optimizer::StepOptimizer;
use crate::reference::{Detail, ReferenceCache, ReferenceLogProbs, ReferencePass, read};
use crate::run::{
    Memory, Objective, Run, RunSetup, StepOutcome, StepTrees, plain_device, training_device,
};
use crate::snapshot::Snapshots;
use crate::step::{GroupCounts, GroupTerms};
use crate::{Error, Ranks, Result, RunIdentity, StopRequest, TrainingConfig};

use forest_pass::{ForestPass, ForestScores, GroupResponses, LossPieces, Part, same_model};
use objective::StepContext;

use reference_sync::MovingReference;

pub use objective::{ResponseLoss, ResponseLossConfig};
pub use reference_sync::ReferenceSync;

fn constant(values: Vec<f32>, device: &Device) -> Tensor<1> {
    Tensor::from_floats(values.as_slice(), device)
}

/// Trains a language model on preference pairs, on responses that have a verdict each, or on several scored responses to a
/// prompt.
///
/// [`new`](Self::new) takes any loss of `pref_losses`, [`with_loss`](Self::with_loss) one of your own; the groups of the
/// [`TrainingTree`]s must be of its [kind](ResponseLoss::kind).
///
/// The loss of a step is the mean over all its pairs, responses or prompts, however they are split into forests; KTO's KL
/// estimate is taken over the whole step before any gradient, and BCO's shift is the mean reward of all steps before. Losses
/// that look at the batch as a whole (AOT, `kto_pair`) see the pairs of one forest at a time.
///
/// A [monitor](pref_losses::collapse) watches the statistics of the steps and reports [`Event::Collapse`] when chosen
/// responses are being unlearned, once of each kind. It changes nothing else.
#[derive(Debug, Clone)]
pub struct PreferenceTrainer {
    settings: TrainingConfig,
    loss: ResponseLoss,
    /// The loss as it was described, for the identity of a run.
    objective: Value,
    /// As it is before a run.
    monitor: Option<CollapseMonitor>,
    snapshots: Option<Snapshots>,
    other_reference: bool,
    reference_sync: Option<ReferenceSync>,
    ranks: Ranks,
    stop: StopRequest,
}

/// State that a run carries from step to step.
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
    fn add(&mut self, stats: &PreferenceStats) {
        let (chosen, rejected) = (stats.chosen as f64, stats.rejected as f64);
        self.sum += chosen * stats.chosen_reward + rejected * stats.rejected_reward;
        self.responses += chosen + rejected;
    }

    fn get(&self) -> f64 {
        self.sum / self.responses.max(1.0)
    }
}

impl PreferenceTrainer {
    /// A trainer with these settings and this loss, of the library and by its configuration: over pairs
    /// ([`PreferenceLossConfig`](pref_losses::PreferenceLossConfig)), over single responses with a verdict
    /// ([`UnpairedLossConfig`](pref_losses::UnpairedLossConfig)), or over several scored ones
    /// ([`ScoredLossConfig`](pref_losses::ScoredLossConfig)).
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use eurus_models::{Decoder, DecoderConfig};
    /// use eurus_train::{TrainingConfig, PreferenceTrainer};
    /// use pref_losses::{KtoConfig, NcaKConfig, ScoredLossConfig, UnpairedLossConfig};
    /// use token_forest::{Group, TokenTree, TrainingTree, add_mismatched};
    ///
    /// # fn main() -> eurus_train::Result<()> {
    /// let policy = Decoder::init(&DecoderConfig::llama(32, 16, 2, 2), 7, &Device::flex());
    /// let settings = TrainingConfig { learning_rate: 1e-2, epochs: 2, ..TrainingConfig::default() };
    /// let losses_of = |trainer: &PreferenceTrainer, trees: &[TrainingTree]| -> eurus_train::Result<Vec<f64>> {
    ///     let reference = trainer.reference(&policy, trees, None, &mut |_| {})?;
    ///     let mut losses = Vec::new();
    ///     trainer.train(policy.clone(), trees, &reference, &mut |event| {
    ///         losses.extend(event.progress().map(|step| step.loss));
    ///     })?;
    ///     Ok(losses)
    /// };
    ///
    /// // Three judged answers to one prompt, and one to another; the prompt of the three is computed once.
    /// let judged = |prompt: Vec<u32>, answers: &[(u32, bool)]| {
    ///     let mut tree = TokenTree::new(prompt, false);
    ///     let mut judge = |&(token, desirable)| Group::verdict(tree.push(0, vec![token, 9], true), desirable);
    ///     let responses = answers.iter().map(&mut judge).collect();
    ///     TrainingTree::new(format!("{answers:?}"), &tree, responses)
    /// };
    /// let mut trees = [
    ///     judged(vec![1, 2, 3], &[(4, true), (5, false), (6, false)])?,
    ///     judged(vec![1, 7], &[(8, true)])?,
    /// ];
    /// add_mismatched(&mut trees, 0)?; // KTO's KL estimate looks at these
    /// let kto = UnpairedLossConfig::Kto(KtoConfig::default());
    /// let losses = losses_of(&PreferenceTrainer::new(settings.clone(), &kto)?, &trees)?;
    /// assert!(losses[1] < losses[0]);
    ///
    /// // Three rollouts of one prompt, scored by a reward model.
    /// let mut tree = TokenTree::new(vec![1, 2, 3], false);
    /// let mut rollout = |token, score| (tree.push(0, vec![token, 9], true), score);
    /// let rollouts = Group::scored([rollout(4, 0.1), rollout(5, 2.0), rollout(6, -1.3)]);
    /// let trees = [TrainingTree::new("p1", &tree, vec![rollouts])?];
    /// let nca = ScoredLossConfig::NcaK(NcaKConfig::default());
    /// let losses = losses_of(&PreferenceTrainer::new(settings, &nca)?, &trees)?;
    /// assert!((losses[0] - 4f64.ln()).abs() < 1e-4 && losses[1] < losses[0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn new(settings: TrainingConfig, loss: impl Into<ResponseLossConfig>) -> Result<Self> {
        let config = loss.into();
        let objective = serde_json::to_value(&config).unwrap_or_default();
        Self::of(settings, config.init()?, objective)
    }

    /// A trainer with a loss of one's own, as [`pref_losses::PairLoss`] describes it. `identity` names the loss and its settings:
    /// a run goes on from snapshots of the same identity alone.
    ///
    /// ```
    /// use eurus_train::{TrainingConfig, PreferenceTrainer};
    /// use pref_losses::{Error, Needs, PairContext, PairLogProbs, PairLoss, PairOutput, PreferenceLoss};
    ///
    /// /// Raises the chosen log-prob and lowers the rejected one, without a reference.
    /// #[derive(Debug)]
    /// struct Lead;
    ///
    /// impl PairLoss for Lead {
    ///     fn needs(&self) -> Needs {
    ///         Needs::default()
    ///     }
    ///
    ///     fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
    ///         Ok(PairOutput {
    ///             losses: log_probs.policy_rejected.clone() - log_probs.policy_chosen.clone(),
    ///             chosen_rewards: log_probs.policy_chosen.detach(),
    ///             rejected_rewards: log_probs.policy_rejected.detach(),
    ///         })
    ///     }
    /// }
    ///
    /// # fn main() -> eurus_train::Result<()> {
    /// let trainer = PreferenceTrainer::with_loss(TrainingConfig::default(), PreferenceLoss::new(Lead), "lead")?;
    /// # drop(trainer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn with_loss(
        settings: TrainingConfig,
        loss: impl Into<ResponseLoss>,
        identity: impl Into<String>,
    ) -> Result<Self> {
        Self::of(settings, loss.into(), json!({ "own": identity.into() }))
    }

    fn of(settings: TrainingConfig, loss: ResponseLoss, objective: Value) -> Result<Self> {
        settings.validate()?;
        Ok(Self {
            settings,
            loss,
            objective,
            monitor: Some(CollapseMonitorConfig::default().init()?),
            snapshots: None,
            other_reference: false,
            reference_sync: None,
            ranks: Ranks::default(),
            stop: StopRequest::default(),
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

    /// Lets the reference follow the policy as it is trained, from the model that training begins with.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range, or the loss does not look at a reference.
    pub fn with_reference_sync(mut self, sync: Option<ReferenceSync>) -> Result<Self> {
        sync.as_ref().map_or(Ok(()), ReferenceSync::validate)?;
        if sync.is_some() && !self.loss.needs().reference {
            return Err(Error::Config {
                field: "reference_sync",
                value: "given".into(),
                problem: "must not be: this loss does not look at a reference",
            });
        }
        self.reference_sync = sync;
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
            self.whole_objective(),
            self.snapshots.as_ref(),
        )
    }

    /// The reference log-probs that the loss looks at, under the model that training begins with: of whole responses, of tokens
    /// or turns as well if it looks at these, zeros if it has no reference.
    ///
    /// Entries that the cache has are read, and missing ones are added to it. The numbers are the same bit for bit,
    /// also when the file was begun by a run that was killed. Ranks share out every group of trees, which packs it
    /// otherwise and changes last digits; all of them get all numbers, and the first one alone reads and writes the
    /// file.
    ///
    /// # Errors
    ///
    /// Those of [`ReferenceLogProbs::compute`] and of the ranks, [`Error::StaleCache`] when the file is of another model,
    /// tokenizer or number type, and [`Error::Io`].
    pub fn reference<M: ForestModel>(
        &self,
        model: &M,
        trees: &[TrainingTree],
        cache: Option<&ReferenceCache>,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<ReferenceLogProbs> {
        let needs = self.loss.needs();
        if !needs.reference {
            return Ok(ReferenceLogProbs::absent(trees));
        }
        let (detail, ranks) = (Detail::of(needs), &self.ranks);
        ReferenceLogProbs::compute_with(
            model,
            trees,
            &self.settings,
            detail,
            cache,
            ranks,
            on_event,
        )
    }

    /// Trains and returns the trained model, without autodiff.
    ///
    /// # Errors
    ///
    /// Before training: no trees, a path longer than allowed, a token the model does not know, reference log-probs of other
    /// trees or another model, or a loss with a KL term and trees without mismatched completions. During training: a loss or
    /// gradient that is not finite, or gradients that are all zero.
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
        let needs = self.loss.needs();
        let pieces = self.pieces(trees)?;
        let setup = RunSetup {
            settings,
            examples: trees,
            pieces: &pieces.groups.sizes(),
            ranks: &self.ranks,
            snapshots: self.snapshots.as_ref(),
            stop: &self.stop,
            identity: {
                let identity = self.identity().of_examples(trees);
                match needs.reference {
                    true => identity.with_reference(reference.mean()),
                    false => identity,
                }
            },
        };
        let moving = match &self.reference_sync {
            None => None,
            Some(_) if self.other_reference => {
                return Err(Error::Config {
                    field: "reference_sync",
                    value: "given".into(),
                    problem: "must not be with another reference: it begins as the policy",
                });
            }
            Some(sync) => {
                let pass = ReferencePass::new(trees, settings, Detail::of(needs))?;
                let begin = model.valid();
                Some(MovingReference::new(sync, pass, settings.precision, begin))
            }
        };
        let device = training_device(&model);
        let learning = Learning {
            trainer: self,
            trees,
            reference,
            pieces: &pieces,
            device,
            carried: Carried {
                rewards: RewardMean::default(),
                monitor: self.monitor.clone(),
            },
            moving,
        };
        Run::train(model, setup, learning, evaluation, on_event)
    }

    /// The loss and statistics of pairs or responses that are not trained on. BCO's shift is 0.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train) before training.
    pub fn evaluate<M: ForestModel>(
        &self,
        model: &M,
        trees: &[TrainingTree],
        reference: &ReferenceLogProbs,
    ) -> Result<PreferenceStats> {
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

    /// The loss, and what moves its reference.
    fn whole_objective(&self) -> Value {
        match &self.reference_sync {
            None => self.objective.clone(),
            Some(sync) => json!({ "loss": self.objective, "reference_sync": sync }),
        }
    }

    fn check(
        &self,
        trees: &[TrainingTree],
        reference: &ReferenceLogProbs,
        vocab_size: usize,
    ) -> Result<()> {
        let needs = self.loss.needs();
        check_examples(trees, self.loss.kind(), &self.settings, vocab_size)?;
        let detail = match needs.reference {
            true => Detail::of(needs),
            false => Detail::default(),
        };
        reference.check(trees, detail)?;
        let mut groups = trees.iter().flat_map(TrainingTree::groups);
        if needs.kl && groups.any(|group| group.mismatched.is_none()) {
            return Err(Error::Loss(pref_losses::Error::MissingKl));
        }
        Ok(())
    }

    /// The trees' groups, and their mismatched responses if the loss looks at these, cut to the budget.
    fn pieces<'a>(&self, trees: &'a [TrainingTree]) -> Result<LossPieces<'a>> {
        let budget = self.settings.token_budget;
        let needs = self.loss.needs();
        Ok(LossPieces {
            groups: Pieces::of_groups(trees, Detail::of(needs).span(), budget)?,
            mismatched: needs
                .kl
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
    ) -> Result<StepOutcome<PreferenceStats>> {
        let settings = &self.settings;
        let needs = self.loss.needs();
        let mut forests = Vec::new();
        let mine = self.prepare(model, part).map(|(packed, totals)| {
            forests = packed;
            totals
        });
        let my_counts = mine.as_ref().map(|it| it.counts).unwrap_or_default();
        let all = ranks.all_gather(mine)?;
        let counts: GroupCounts = all.iter().map(|it| it.counts).sum();
        let of_all = |of: fn(&StepTotals) -> &Vec<f32>| {
            let values = all.iter().flat_map(|it| of(it).iter().copied());
            constant(values.collect(), device)
        };
        let kl = if needs.kl {
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
        let mut sums: Option<PreferenceSums> = None;
        let mut terms = Vec::new();
        for packed in forests {
            let share = packed.forest.len() as f64 / counts.unique_tokens as f64;
            let groups = packed.groups_by_size();
            let batch = ForestBatch::new(packed.forest, device);
            let pass = Pass::new(model, &batch, part.recompute)?;
            let chunk = settings.log_prob_chunk;
            let (of_targets, log_weights) = if needs.log_weights {
                let (of_targets, weights) =
                    of_hidden_with_weights(model, pass.hidden, &batch, chunk);
                (of_targets, Some(weights))
            } else {
                (of_hidden(model, pass.hidden, &batch, chunk), None)
            };
            let scores = ForestScores {
                of_nodes: by_node(of_targets.clone(), &batch),
                of_targets,
                log_weights,
                forest: &batch.forest,
            };
            let mut loss: Option<Tensor<1>> = None;
            let mut by_size = Vec::with_capacity(groups.len());
            for groups in groups {
                let of_groups = GroupResponses::new(groups, part, &scores);
                let responses = of_groups.for_loss(part, &scores, Detail::of(needs));
                let forest = self.loss.of_forest(responses, &context)?;
                sums = Some(match sums {
                    Some(sums) => sums.merge(forest.sums),
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
                by_size.push(of_groups);
            }
            // A forest has groups, or it would not be there.
            if let Some(loss) = loss {
                consume(ForestPass {
                    loss: loss / counts.groups as f64,
                    tape: pass.tape,
                    share,
                    responses: &by_size,
                })?;
            }
        }
        let stats = sums.map(PreferenceSums::read).unwrap_or_default();
        let loss = stats.loss;
        let mut not_finite = Vec::new();
        if !loss.is_finite() {
            if let Some(kl) = kl.filter(|kl| !kl.clone().into_scalar::<f32>().is_finite()) {
                not_finite.push(format!("the KL estimate is {}", kl.into_scalar::<f32>()));
            }
            let id = |tree: usize| part.trees[tree].id();
            let [noun, _] = self.loss.kind().nouns();
            not_finite.extend(terms.into_iter().flat_map(|it| it.name(noun, id)));
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
            // Without autodiff: the KL estimate is a constant of the loss.
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

/// A run on some trees.
struct Learning<'a, M> {
    trainer: &'a PreferenceTrainer,
    trees: &'a [TrainingTree],
    reference: &'a ReferenceLogProbs,
    pieces: &'a LossPieces<'a>,
    device: Device,
    carried: Carried,
    moving: Option<MovingReference<'a, M>>,
}

impl<M: ForestModel> Objective<M> for Learning<'_, M> {
    type Stats = PreferenceStats;

    fn compute(
        &mut self,
        model: &M,
        StepTrees { step, members }: StepTrees<'_>,
        optimizer: &mut StepOptimizer,
    ) -> Result<StepOutcome<PreferenceStats>> {
        let trainer = self.trainer;
        let moved = self.moving.as_ref().map(|it| it.of(members)).transpose();
        // An error is told to the other ranks, which wait for this one.
        let moved = trainer.ranks.all_ok(moved)?.flatten();
        let part = Part {
            trees: members.iter().map(|&m| &self.trees[m]).collect(),
            reference: match &moved {
                Some(moved) => moved.iter().collect(),
                None => members.iter().map(|&m| &self.reference.trees[m]).collect(),
            },
            members,
            pieces: self.pieces,
            reward_shift: self.carried.rewards.get(),
            recompute: trainer.settings.recompute_activations,
        };
        let begins_as_reference = trainer.loss.needs().reference && !trainer.other_reference;
        trainer.pass(model, &part, &self.device, &trainer.ranks, &mut |pass| {
            if begins_as_reference
                && step == 0
                && let Err(differs) = same_model(&part, &pass)
            {
                // A model that sees what is not on a path differs with the packing, and no reference would do.
                contract::check_model(model)?;
                return Err(differs);
            }
            optimizer.add(model, pass.loss, pass.tape, pass.share);
            Ok(())
        })
    }

    fn report(
        &mut self,
        progress: StepProgress,
        stats: PreferenceStats,
        on_event: &mut dyn FnMut(&Event),
    ) {
        let step = progress.step;
        self.carried.rewards.add(&stats);
        on_event(&Event::Preference { progress, stats });
        let monitor = self.carried.monitor.as_mut();
        if let Some(warning) = monitor.and_then(|it| it.observe(step, &stats)) {
            on_event(&Event::Collapse { step, warning });
        }
    }

    fn updated(&mut self, step: usize, model: &M) -> Result<()> {
        if let Some(moving) = &mut self.moving {
            moving.follow(step, model);
        }
        Ok(())
    }

    fn memory(&self) -> Memory<'_, M> {
        Memory {
            state: serde_json::to_value(&self.carried).unwrap_or_default(),
            model: self.moving.as_ref().and_then(MovingReference::moved),
        }
    }

    fn recall(&mut self, state: Value, model: Option<M>) -> serde_json::Result<()> {
        self.carried = serde_json::from_value(state)?;
        if let (Some(moving), Some(model)) = (&mut self.moving, model) {
            moving.set(model);
        }
        Ok(())
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
