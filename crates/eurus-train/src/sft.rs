//! Supervised fine-tuning: cross-entropy on the trainable nodes.

use eurus_models::{ForestBatch, ForestModel};
use serde_json::json;
use token_forest::TokenTree;

use crate::data::{SftTree, check_trees};
use crate::events::Event;
use crate::log_probs::TrainingPass;
use crate::packing::pack_trees;
use crate::run::{RunSetup, StepOutcome, describe_tree, path_tokens, run, training_device};
use crate::snapshot::Snapshots;
use crate::{Error, Optimization, Result};

/// Trains a language model to imitate the trainable nodes of trees.
///
/// The loss of a step is the mean over all its target tokens, however they are split into forests.
#[derive(Debug, Clone)]
pub struct SftTrainer {
    settings: Optimization,
    snapshots: Option<Snapshots>,
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
    pub fn train<M: ForestModel>(
        &self,
        model: M,
        trees: &[SftTree],
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<M> {
        if trees.is_empty() {
            return Err(Error::NoData { what: "trees" });
        }
        let settings = &self.settings;
        check_trees(
            trees.iter().map(|tree| (tree.id.as_str(), &tree.tree)),
            settings.max_path_tokens.min(settings.token_budget),
            model.vocab_size(),
        )?;
        let device = training_device(&model);
        let ids: Vec<&str> = trees.iter().map(|tree| tree.id.as_str()).collect();
        let setup = RunSetup {
            settings,
            ids: &ids,
            snapshots: self.snapshots.as_ref(),
            objective: json!("sft"),
            trees: &mut trees.iter().map(|it| describe_tree(&it.id, &it.tree)),
        };
        run(
            model,
            setup,
            (),
            on_event,
            |model, members, optimizer, ()| {
                let trees: Vec<&TokenTree> = members.iter().map(|&m| &trees[m].tree).collect();
                let forests = pack_trees(&trees, settings.token_budget)?;
                let forests: Vec<_> = forests
                    .into_iter()
                    .filter(|forest| !forest.targets.is_empty())
                    .collect();
                let target_tokens: usize = forests.iter().map(|forest| forest.targets.len()).sum();
                let unique_tokens: usize = forests.iter().map(|forest| forest.len()).sum();
                let mut outcome = StepOutcome {
                    loss: 0.0,
                    unique_tokens,
                    naive_tokens: path_tokens(&trees),
                    forests: forests.len(),
                    stats: target_tokens,
                };
                for forest in forests {
                    let share = forest.len() as f64 / unique_tokens as f64;
                    let batch = ForestBatch::new(forest, &device);
                    let pass = TrainingPass::new(model, &batch, settings.log_prob_chunk);
                    let loss = pass.log_probs.sum().neg() / target_tokens as f64;
                    outcome.loss += f64::from(loss.clone().into_scalar::<f32>());
                    optimizer.add(model, loss, pass.auxiliary, share);
                }
                Ok(outcome)
            },
            |progress, target_tokens, (), on_event| {
                on_event(&Event::Sft {
                    progress,
                    target_tokens,
                });
            },
        )
    }
}
