//! Supervised fine-tuning: cross-entropy on the trainable nodes.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};
use eurus_models::{ForestBatch, ForestModel};
use serde_json::json;
use token_forest::{PackedForest, TokenTree};

use crate::activations::{Pass, Tape};
use crate::data::{SftTree, check_trees, describe_tree};
use crate::evaluation::Evaluation;
use crate::events::Event;
use crate::log_probs::of_hidden;
use crate::packing::{pack_trees, tree_pieces};
use crate::run::{
    RunSetup, StepOutcome, StepStats, path_tokens, plain_device, run, training_device,
};
use crate::snapshot::Snapshots;
use crate::{Error, Optimization, Ranks, Result};

/// Trains a language model to imitate the trainable nodes of trees.
///
/// The loss of a step is the mean over all its target tokens, however they are split into forests.
#[derive(Debug, Clone)]
pub struct SftTrainer {
    settings: Optimization,
    snapshots: Option<Snapshots>,
    ranks: Ranks,
}

impl SftTrainer {
    /// A trainer with these settings.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn new(settings: Optimization) -> Result<Self> {
        settings.validate()?;
        Ok(Self {
            settings,
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
    pub fn train<M: ForestModel>(
        &self,
        model: M,
        trees: &[SftTree],
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
        trees: &[SftTree],
        evaluation: Option<&mut Evaluation<'_, M>>,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        let settings = &self.settings;
        self.check(trees, model.vocab_size())?;
        let device = training_device(&model);
        let ids: Vec<&str> = trees.iter().map(|tree| tree.id.as_str()).collect();
        let pieces = trees
            .iter()
            .map(|tree| tree_pieces(&tree.tree, settings.token_budget));
        let pieces: Vec<Vec<usize>> = pieces.collect::<Result<_>>()?;
        let setup = RunSetup {
            settings,
            ids: &ids,
            pieces: &pieces,
            ranks: &self.ranks,
            snapshots: self.snapshots.as_ref(),
            objective: json!("sft"),
            trees: &mut trees.iter().map(|it| describe_tree(&it.id, &it.tree)),
            reference: None,
        };
        run(
            model,
            setup,
            (),
            evaluation,
            on_event,
            |model, mine, optimizer, ()| {
                let trees: Vec<&SftTree> = mine.members.iter().map(|&m| &trees[m]).collect();
                let recompute = settings.recompute_activations;
                self.pass(
                    model,
                    &trees,
                    &device,
                    recompute,
                    &self.ranks,
                    &mut |loss, tape, share| {
                        optimizer.add(model, loss, tape, share);
                    },
                )
            },
            |progress, target_tokens, (), on_event| {
                on_event(&Event::Sft {
                    progress,
                    target_tokens,
                });
            },
        )
    }

    /// The mean loss per target token of trees that are not trained on; its exponential is the perplexity.
    ///
    /// # Errors
    ///
    /// Those of [`train`](Self::train) before training.
    pub fn held_out<M: ForestModel>(&self, model: &M, trees: &[SftTree]) -> Result<f64> {
        self.check(trees, model.vocab_size())?;
        let model = self.settings.precision.of(model.valid());
        let trees: Vec<&SftTree> = trees.iter().collect();
        let device = plain_device(&model);
        let outcome = self.pass(
            &model,
            &trees,
            &device,
            false,
            &Ranks::default(),
            &mut |_, _, _| {},
        )?;
        Ok(outcome.loss)
    }

    fn check(&self, trees: &[SftTree], vocab_size: usize) -> Result<()> {
        if trees.is_empty() {
            return Err(Error::NoData { what: "trees" });
        }
        check_trees(
            trees.iter().map(|tree| (tree.id.as_str(), &tree.tree)),
            self.settings
                .max_path_tokens
                .min(self.settings.token_budget),
            vocab_size,
        )
    }

    /// The loss of some trees, forest by forest: `consume` is given each forest's part of the mean, its tape and its share of
    /// the tokens.
    fn pass<M: ForestModel>(
        &self,
        model: &M,
        trees: &[&SftTree],
        device: &Device,
        recompute: bool,
        ranks: &Ranks,
        consume: &mut dyn FnMut(Tensor<1>, Tape<'_>, f64),
    ) -> Result<StepOutcome<usize>> {
        let settings = &self.settings;
        let token_trees: Vec<&TokenTree> = trees.iter().map(|tree| &tree.tree).collect();
        let mut forests = Vec::new();
        let mine = pack_trees(&token_trees, settings.token_budget).map(|packed| {
            forests = packed;
            forests.retain(|packed| !packed.forest.targets.is_empty());
            let of_all = |count: fn(&PackedForest) -> usize| -> usize {
                forests.iter().map(|packed| count(&packed.forest)).sum()
            };
            (
                of_all(|forest| forest.targets.len()),
                of_all(PackedForest::len),
            )
        });
        let (my_targets, my_tokens) = *mine.as_ref().unwrap_or(&(0, 0));
        let (target_tokens, unique_tokens) = ranks
            .exchange(mine)?
            .into_iter()
            .fold((0, 0), |(targets, tokens), (t, n)| {
                (targets + t, tokens + n)
            });
        let mut outcome = StepOutcome {
            loss: 0.0,
            unique_tokens: my_tokens,
            naive_tokens: path_tokens(&token_trees),
            forests: forests.len(),
            not_finite: Vec::new(),
            stats: my_targets,
        };
        for packed in forests {
            let share = packed.forest.len() as f64 / unique_tokens as f64;
            let batch = ForestBatch::new(packed.forest, device);
            let pass = Pass::of_model(model, &batch, recompute)?;
            let log_probs = of_hidden(model, pass.hidden, &batch, settings.log_prob_chunk);
            let loss = log_probs.clone().sum().neg() / target_tokens as f64;
            let value = f64::from(loss.clone().into_scalar::<f32>());
            if !value.is_finite() {
                let wrong = not_finite_trees(log_probs, &batch, &packed.sources);
                let name = |tree: usize| {
                    let id = &trees[tree].id;
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
