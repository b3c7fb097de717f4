//! The loop that all trainers share.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use token_forest::TokenTree;

use crate::adamw::StepOptimizer;
use crate::data::{PairedTree, step_order};
use crate::events::{Event, StepProgress};
use crate::snapshot::{RunIdentity, Snapshots, Store, newest};
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

/// What a run is made of, whatever the loss.
pub(crate) struct RunSetup<'a> {
    pub settings: &'a Optimization,
    /// Ids of the examples.
    pub ids: &'a [&'a str],
    pub snapshots: Option<&'a Snapshots>,
    /// The trainer and its loss.
    pub objective: Value,
    pub trees: &'a mut dyn Iterator<Item = Value>,
}

/// Runs all steps: `compute` adds a step's gradients to the optimizer, `report` is told of it afterwards. `carried` is what
/// the trainer remembers from step to step.
pub(crate) fn run<M: Module, S, C: Serialize + DeserializeOwned>(
    model: M,
    setup: RunSetup<'_>,
    mut carried: C,
    on_event: &mut dyn FnMut(&Event),
    mut compute: impl FnMut(&M, &[usize], &mut StepOptimizer<M>, &C) -> Result<StepOutcome<S>>,
    mut report: impl FnMut(StepProgress, S, &mut C, &mut dyn FnMut(&Event)),
) -> Result<M> {
    let RunSetup { settings, ids, .. } = setup;
    let steps = settings.steps(ids.len());
    let schedule = Schedule::new(
        settings.learning_rate,
        settings.decay,
        settings.warmup_ratio,
        steps,
    );
    let order = step_order(ids.len(), settings.trees_per_step, steps, settings.seed);
    let mut optimizer = StepOptimizer::new(settings);
    let mut model = model;
    let mut first = 0;
    let mut store = None;
    if let Some(snapshots) = setup.snapshots {
        let identity = RunIdentity::new(settings, setup.objective, setup.trees);
        let mut damaged = |path, problem| on_event(&Event::DamagedSnapshot { path, problem });
        if let Some(snapshot) = newest(snapshots, &identity, &mut damaged)? {
            let (step, path) = (snapshot.state.step, snapshot.path.clone());
            let state = snapshot.state.carried.clone();
            carried = serde_json::from_value(state).map_err(|error| Error::Snapshot {
                path: path.clone(),
                problem: error.to_string(),
            })?;
            model = snapshot.restore(model, &mut optimizer)?;
            first = step;
            on_event(&Event::Resumed { step, path });
        }
        store = Some(Store::new(snapshots, identity));
    }
    let mut model = model.train();
    let device = plain_device(&model);
    for (step, members) in order.iter().enumerate().skip(first) {
        let started = Instant::now();
        // Whatever a model draws in a step depends on the step alone, so a run that goes on draws the same.
        device.seed(settings.seed.wrapping_add(step as u64));
        let outcome = compute(&model, members, &mut optimizer, &carried)?;
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
        report(progress, outcome.stats, &mut carried, on_event);
        if let Some(store) = store.as_ref().filter(|it| it.is_due(step + 1, steps)) {
            let state = serde_json::to_value(&carried).unwrap_or_default();
            let path = store.save(step + 1, &model, &optimizer, state)?;
            on_event(&Event::Saved {
                step: step + 1,
                path,
            });
        }
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

/// Everything of an example that a run depends on.
pub(crate) fn describe_tree(id: &str, tree: &TokenTree) -> Value {
    let nodes: Vec<_> = tree
        .nodes
        .iter()
        .map(|node| (node.parent, &node.tokens, node.trainable))
        .collect();
    json!([id, nodes])
}

/// The same of an example with pairs.
pub(crate) fn describe_paired(tree: &PairedTree) -> Value {
    let pairs: Vec<_> = tree
        .pairs
        .iter()
        .map(|pair| (pair.chosen, pair.rejected))
        .collect();
    json!([describe_tree(&tree.id, &tree.tree), pairs, tree.mismatched])
}
