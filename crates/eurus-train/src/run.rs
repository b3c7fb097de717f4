//! The loop that all trainers share.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use token_forest::TokenTree;

use crate::adamw::StepOptimizer;
use crate::data::step_order;
use crate::events::StepProgress;
use crate::{Error, Optimization, Result, Schedule};

/// What a trainer does with the trees of one step.
pub(crate) struct StepOutcome<S> {
    /// Mean loss of the step.
    pub loss: f64,
    pub unique_tokens: usize,
    pub naive_tokens: usize,
    /// Forests that the unique tokens were packed into.
    pub forests: usize,
    /// What the trainer reports besides.
    pub stats: S,
}

/// Runs all steps: `compute` adds a step's gradients to the optimizer, `report` is told of it afterwards.
pub(crate) fn run<M: Module, S>(
    model: M,
    settings: &Optimization,
    ids: &[&str],
    mut compute: impl FnMut(&M, &[usize], &mut StepOptimizer<M>) -> Result<StepOutcome<S>>,
    mut report: impl FnMut(StepProgress, S),
) -> Result<M> {
    let steps = settings.steps(ids.len());
    let schedule = Schedule::new(
        settings.learning_rate,
        settings.decay,
        settings.warmup_ratio,
        steps,
    );
    let order = step_order(ids.len(), settings.trees_per_step, steps, settings.seed);
    let mut optimizer = StepOptimizer::new(settings);
    let mut model = model.train();
    for (step, members) in order.iter().enumerate() {
        let started = Instant::now();
        let outcome = compute(&model, members, &mut optimizer)?;
        let (gradients, grad_norm) = optimizer.gradients(&model);
        let auxiliary_loss = optimizer.take_auxiliary_loss();
        for (what, value) in [
            ("the loss", outcome.loss),
            ("the auxiliary loss", auxiliary_loss.unwrap_or(0.0)),
            ("the gradient norm", grad_norm),
        ] {
            if !value.is_finite() {
                return Err(Error::NotFinite {
                    step: step + 1,
                    what,
                    value,
                    examples: members.iter().map(|&m| ids[m].to_owned()).collect(),
                });
            }
        }
        let learning_rate = schedule.at(step);
        model = optimizer.step(model, gradients, grad_norm, learning_rate);
        let progress = StepProgress {
            step: step + 1,
            steps,
            loss: outcome.loss,
            auxiliary_loss,
            learning_rate,
            grad_norm,
            unique_tokens: outcome.unique_tokens,
            naive_tokens: outcome.naive_tokens,
            utilisation: outcome.unique_tokens as f64
                / (outcome.forests.max(1) * settings.token_budget) as f64,
            seconds: started.elapsed().as_secs_f64(),
        };
        report(progress, outcome.stats);
    }
    Ok(model.valid())
}

/// The device the model lives on, with autodiff.
pub(crate) fn training_device<M: Module>(model: &M) -> Device {
    plain_device(model).autodiff()
}

/// The device the model lives on, without autodiff.
pub(crate) fn plain_device<M: Module>(model: &M) -> Device {
    model
        .devices()
        .into_iter()
        .next()
        .map(|device| device.inner())
        .unwrap_or_default()
}

/// Tokens of all root-to-leaf paths as rows of their own.
pub(crate) fn path_tokens(trees: &[&TokenTree]) -> usize {
    trees
        .iter()
        .map(|tree| {
            let lengths = tree.path_lengths();
            tree.leaves()
                .iter()
                .map(|&leaf| lengths[leaf])
                .sum::<usize>()
        })
        .sum()
}
