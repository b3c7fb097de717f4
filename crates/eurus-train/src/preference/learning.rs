//! A run of preference learning, and what it carries from step to step.

use burn::tensor::Device;
use eurus_models::{ForestModel, contract};
use pref_losses::PreferenceStats;
use pref_losses::collapse::CollapseMonitor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use token_forest::TrainingTree;

use super::PreferenceTrainer;
use super::forest_pass::{LossPieces, Part, same_model};
use super::reference_sync::MovingReference;
use crate::Result;
use crate::events::{Event, StepProgress};
use crate::optimizer::StepOptimizer;
use crate::precision::Weights;
use crate::reference::ReferenceLogProbs;
use crate::run::{Memory, Objective, StepOutcome, StepTrees};

/// State that a run carries from step to step.
#[derive(Serialize, Deserialize)]
pub(super) struct Carried {
    pub rewards: RewardMean,
    pub monitor: Option<CollapseMonitor>,
}

/// Mean reward of the responses seen so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RewardMean {
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

/// A run on some trees.
pub(super) struct Learning<'a, M> {
    pub trainer: &'a PreferenceTrainer,
    pub trees: &'a [TrainingTree],
    pub reference: &'a ReferenceLogProbs,
    pub pieces: &'a LossPieces<'a>,
    pub device: Device,
    pub carried: Carried,
    pub moving: Option<MovingReference<'a, M>>,
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

    fn updated(&mut self, step: usize, weights: &Weights<M>) -> Result<()> {
        if let Some(moving) = &mut self.moving {
            moving.follow(step, weights);
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
