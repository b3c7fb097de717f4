//! Preference learning on whole trees: every history is computed once for all pairs that share it.

mod forest_pass;
mod learning;
mod objective;
mod pass;
mod reference_sync;

use eurus_models::ForestModel;
use pref_losses::PreferenceStats;
use pref_losses::collapse::{CollapseMonitor, CollapseMonitorConfig};
use serde_json::{Value, json};
use token_forest::{Pieces, TrainingTree};

use crate::evaluation::Evaluation;
use crate::events::Event;
use crate::examples::check_examples;
use crate::reference::{Detail, ReferenceCache, ReferenceLogProbs, ReferencePass};
use crate::run::{Run, RunSetup, plain_device, training_device};
use crate::snapshot::Snapshots;
use crate::{Error, Ranks, Result, RunIdentity, StopRequest, TrainingConfig};

use forest_pass::{LossPieces, Part};
use learning::{Carried, Learning, RewardMean};

use reference_sync::MovingReference;

pub use objective::{ResponseLoss, ResponseLossConfig};
pub use reference_sync::ReferenceSync;

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
}
