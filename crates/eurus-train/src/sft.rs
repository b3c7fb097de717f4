//! Supervised fine-tuning: cross-entropy on the trainable nodes.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};
use eurus_models::{ForestBatch, ForestModel};
use serde_json::json;
use token_forest::{GroupForest, LabelKind, PackedForest, Pieces, Span, TrainingTree};

use crate::activations::{Pass, Tape};
use crate::evaluation::Evaluation;
use crate::events::Event;
use crate::events::StepProgress;
use crate::examples::check_examples;
use crate::log_probs::of_hidden;
use crate::optimizer::StepOptimizer;
use crate::run::{
    Objective, Run, RunSetup, StepOutcome, StepStats, StepTrees, plain_device, training_device,
};
use crate::snapshot::Snapshots;
use crate::step::PackedStep;
use crate::{Ranks, Result, RunIdentity, StopRequest, TrainingConfig};

/// Trains a language model to imitate the responses of trees.
///
/// The loss of a step is the mean over the target tokens of all its groups, however they are split into forests. A response
/// that is in several groups, for several rows have it, counts for each and is computed once.
#[derive(Debug, Clone)]
pub struct SftTrainer {
    settings: TrainingConfig,
    snapshots: Option<Snapshots>,
    ranks: Ranks,
    stop: StopRequest,
}

impl SftTrainer {
    /// A trainer with these settings.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn new(settings: TrainingConfig) -> Result<Self> {
        settings.validate()?;
        Ok(Self {
            settings,
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
        RunIdentity::new(&self.settings, json!("sft"), self.snapshots.as_ref())
    }

    /// Trains and returns the trained model, without autodiff.
    ///
    /// # Errors
    ///
    /// Before training: no trees, a path longer than allowed, or a token the model does not know. During training: a loss or
    /// gradient that is not finite, or gradients that are all zero.
    pub fn train<M: ForestModel>(
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
    pub fn train_evaluated<M: ForestModel>(
        &self,
        model: M,
        trees: &[TrainingTree],
        evaluation: Option<&mut Evaluation<'_, M>>,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        let settings = &self.settings;
        self.check(trees, model.vocab_size())?;
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
        let imitation = Imitation {
            trainer: self,
            trees,
            pieces: &pieces,
            device: training_device(&model),
        };
        Run::train(model, setup, imitation, evaluation, on_event)
    }

    /// The mean loss per target token of trees that are not trained on; its exponential is the perplexity.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train) before training.
    pub fn evaluate<M: ForestModel>(&self, model: &M, trees: &[TrainingTree]) -> Result<f64> {
        self.check(trees, model.vocab_size())?;
        let model = self.settings.precision.of(model.valid());
        let pieces = Pieces::of_groups(trees, Span::Responses, self.settings.token_budget)?;
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
        Ok(outcome.loss)
    }

    fn check(&self, trees: &[TrainingTree], vocab_size: usize) -> Result<()> {
        check_examples(trees, LabelKind::Imitated, &self.settings, vocab_size)
    }

    /// The loss of some trees, forest by forest: `consume` is given each forest's part of the mean, its tape and its share of
    /// the tokens.
    fn pass<M: ForestModel>(
        &self,
        model: &M,
        packed: PackedStep<'_>,
        device: &Device,
        recompute: bool,
        ranks: &Ranks,
        consume: &mut dyn FnMut(Tensor<1>, Tape<'_>, f64),
    ) -> Result<StepOutcome<usize>> {
        let settings = &self.settings;
        let mut forests = Vec::new();
        let naive_tokens = packed.naive_tokens();
        let PackedStep {
            trees,
            forests: mine,
        } = packed;
        let mine = mine.map(|packed| {
            forests = packed.into_iter().map(CountedForest::new).collect();
            let targets: usize = forests.iter().map(|it| it.target_tokens).sum();
            let tokens: usize = forests.iter().map(|it| it.forest.len()).sum();
            (targets, tokens)
        });
        let (my_targets, my_tokens) = *mine.as_ref().unwrap_or(&(0, 0));
        let (target_tokens, unique_tokens) = ranks
            .all_gather(mine)?
            .into_iter()
            .fold((0, 0), |(targets, tokens), (t, n)| {
                (targets + t, tokens + n)
            });
        let mut outcome = StepOutcome {
            loss: 0.0,
            unique_tokens: my_tokens,
            naive_tokens,
            forests: forests.len(),
            not_finite: Vec::new(),
            stats: my_targets,
        };
        for counted in forests {
            let share = counted.forest.len() as f64 / unique_tokens as f64;
            let batch = ForestBatch::new(counted.forest, device);
            let pass = Pass::new(model, &batch, recompute)?;
            let log_probs = of_hidden(model, pass.hidden, &batch, settings.log_prob_chunk);
            let weighted = match &counted.weights {
                Some(weights) => {
                    log_probs.clone() * Tensor::from_floats(weights.as_slice(), device)
                }
                None => log_probs.clone(),
            };
            let loss = weighted.sum().neg() / target_tokens as f64;
            let value = f64::from(loss.clone().into_scalar::<f32>());
            if !value.is_finite() {
                let wrong = not_finite_trees(log_probs, &batch, &counted.trees);
                let name = |tree: usize| {
                    let id = trees[tree].id();
                    format!("the log-prob of a target token of `{id}` is not finite")
                };
                outcome.not_finite.extend(wrong.into_iter().map(name));
            }
            outcome.loss += value;
            consume(loss, pass.tape, share);
        }
        Ok(outcome)
    }
}

/// A run on some trees.
struct Imitation<'a> {
    trainer: &'a SftTrainer,
    trees: &'a [TrainingTree],
    pieces: &'a Pieces<'a>,
    device: Device,
}

impl<M: ForestModel> Objective<M> for Imitation<'_> {
    type Stats = usize;

    fn compute(
        &mut self,
        model: &M,
        trees: StepTrees<'_>,
        optimizer: &mut StepOptimizer,
    ) -> Result<StepOutcome<usize>> {
        let trainer = self.trainer;
        trainer.pass(
            model,
            PackedStep::new(self.trees, self.pieces, trees.members),
            &self.device,
            trainer.settings.recompute_activations,
            &trainer.ranks,
            &mut |loss, tape, share| optimizer.add(model, loss, tape, share),
        )
    }

    fn report(
        &mut self,
        progress: StepProgress,
        target_tokens: usize,
        on_event: &mut dyn FnMut(&Event),
    ) {
        on_event(&Event::Sft {
            progress,
            target_tokens,
        });
    }
}

/// A forest of responses to imitate, and how often each of its targets counts.
struct CountedForest {
    forest: PackedForest,
    /// The tree of each forest tree, by its place among those of the step.
    trees: Vec<usize>,
    target_tokens: usize,
    /// In how many groups each target is, `[targets]`; `None` where it is one for all.
    weights: Option<Vec<f32>>,
}

impl CountedForest {
    fn new(packed: GroupForest) -> Self {
        let forest = packed.forest;
        let mut groups_of = vec![0_u16; forest.node_count()];
        let mut trees = vec![0; forest.tree_count()];
        for group in &packed.groups {
            for &node in &group.nodes {
                groups_of[node as usize] += 1;
                trees[forest.nodes[node as usize].tree as usize] = group.tree;
            }
        }
        let counts: Vec<u16> = forest
            .targets
            .iter()
            .map(|target| groups_of[target.node as usize])
            .collect();
        let weights = counts.iter().any(|&count| count != 1);
        Self {
            target_tokens: counts.iter().map(|&count| usize::from(count)).sum(),
            weights: weights.then(|| counts.iter().map(|&count| f32::from(count)).collect()),
            forest,
            trees,
        }
    }
}

/// Target tokens.
impl StepStats for usize {
    fn merge(self, other: Self) -> Self {
        self + other
    }
}

/// The trees that have a target whose log-prob is not finite.
fn not_finite_trees(
    log_probs: Tensor<1>,
    batch: &ForestBatch,
    sources: &[usize],
) -> BTreeSet<usize> {
    let forest = &batch.forest;
    let values = log_probs.into_data();
    let wrong = values
        .iter::<f32>()
        .zip(&forest.targets)
        .filter(|(value, _)| !value.is_finite());
    wrong
        .map(|(_, target)| sources[forest.nodes[target.node as usize].tree as usize])
        .collect()
}
