//! The loop that all trainers share.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use pref_losses::PreferenceStats;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use token_forest::TrainingTree;

use crate::adamw::StepOptimizer;
use crate::evaluation::{Best, Evaluation};
use crate::events::{Event, StepProgress};
use crate::order::step_order;
use crate::precision::Weights;
use crate::snapshot::{RunIdentity, Snapshots, Store, newest, restore_weights, share_weights};
use crate::{Error, NotFinite, NotFinitePolicy, Ranks, Result, Schedule, TrainingConfig};

/// What a trainer does with a rank's trees of one step.
#[derive(Serialize, Deserialize)]
pub(crate) struct StepOutcome<S> {
    /// The trees' part of the step's mean loss.
    pub loss: f64,
    pub unique_tokens: usize,
    pub naive_tokens: usize,
    /// Forests that the unique tokens were packed into.
    pub forests: usize,
    /// What is not finite, if the loss is not.
    pub not_finite: Vec<String>,
    /// What the trainer reports besides.
    pub stats: S,
}

/// What a trainer reports of a step besides its loss.
pub(crate) trait StepStats: Serialize + DeserializeOwned {
    /// The numbers of two parts of a step as one.
    fn merge(self, other: Self) -> Self;
}

impl StepStats for PreferenceStats {
    fn merge(self, other: Self) -> Self {
        self.merge(other)
    }
}

impl<S: StepStats> StepOutcome<S> {
    fn merge(mut self, other: Self) -> Self {
        self.not_finite.extend(other.not_finite);
        Self {
            loss: self.loss + other.loss,
            unique_tokens: self.unique_tokens + other.unique_tokens,
            naive_tokens: self.naive_tokens + other.naive_tokens,
            forests: self.forests + other.forests,
            not_finite: self.not_finite,
            stats: self.stats.merge(other.stats),
        }
    }

    /// The whole step from what each rank did of it.
    fn of_ranks(ranks: &Ranks, mine: Result<Self>) -> Result<Self> {
        let parts = ranks.all_gather(mine)?.into_iter();
        parts
            .reduce(Self::merge)
            .ok_or_else(|| Error::lost("no rank took part in a step"))
    }
}

/// What a run is made of, whatever the loss.
pub(crate) struct RunSetup<'a> {
    pub settings: &'a TrainingConfig,
    pub examples: &'a [TrainingTree],
    /// Tokens of the pieces that each is packed in: what steps are filled with, and what the trees of one are shared out by.
    pub pieces: &'a [Vec<usize>],
    pub ranks: &'a Ranks,
    pub snapshots: Option<&'a Snapshots>,
    /// The trainer and its loss.
    pub objective: Value,
    /// Mean of the reference log-probs, if the loss looks at them.
    pub reference: Option<f64>,
}

/// The trees of a step that a rank computes.
pub(crate) struct StepTrees<'a> {
    /// From 0.
    pub step: usize,
    /// By index.
    pub members: &'a [usize],
}

/// Judges the model when it is due, and remembers the best.
struct Judge<'a, 'b, M> {
    evaluation: Option<&'a mut Evaluation<'b, M>>,
    best: Option<Best>,
    best_model: Option<M>,
}

impl<M: Module> Judge<'_, '_, M> {
    fn is_due(&self, step: usize, steps: usize) -> bool {
        self.evaluation
            .as_ref()
            .is_some_and(|it| step.is_multiple_of(it.every_steps.max(1)) || step == steps)
    }

    fn keeps_best(&self) -> bool {
        self.evaluation.as_ref().is_some_and(|it| it.keep_best)
    }

    /// Judges the model after `step` steps on the first rank. Returns whether it is the best so far and to be kept.
    fn judge(
        &mut self,
        model: &M,
        step: usize,
        ranks: &Ranks,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<bool> {
        let keep_best = self.keeps_best();
        let Some(evaluation) = &mut self.evaluation else {
            return Ok(false);
        };
        let plain = model.valid();
        let judgement = ranks.of_first(|| (evaluation.judge)(&plain))?;
        let score = judgement.score;
        // What is not a number is not better than anything, and could not be read back from a snapshot.
        let best = score.is_finite() && self.best.is_none_or(|best| score > best.score);
        if best {
            self.best = Some(Best { step, score });
            self.best_model = keep_best.then_some(plain);
        }
        on_event(&Event::Evaluated {
            step,
            judgement,
            best,
        });
        Ok(best && keep_best)
    }
}

/// Runs all steps: `compute` adds a step's gradients to the optimizer, `report` is told of it afterwards. `carried` is what
/// the trainer remembers from step to step.
pub(crate) fn run<M: Module, S: StepStats, C: Serialize + DeserializeOwned>(
    model: M,
    setup: RunSetup<'_>,
    mut carried: C,
    evaluation: Option<&mut Evaluation<'_, M>>,
    on_event: &mut dyn FnMut(&Event),
    mut compute: impl FnMut(&M, StepTrees<'_>, &mut StepOptimizer, &C) -> Result<StepOutcome<S>>,
    mut report: impl FnMut(StepProgress, S, &mut C, &mut dyn FnMut(&Event)),
) -> Result<M> {
    let RunSetup {
        settings,
        examples,
        ranks,
        ..
    } = setup;
    ranks.all_ok(settings.precision.check(&plain_device(&model)))?;
    let order = step_order(setup.pieces, settings);
    let steps = order.len();
    let schedule = Schedule::new(
        settings.learning_rate,
        settings.decay,
        settings.warmup_ratio,
        steps,
    );
    let mut optimizer = StepOptimizer::new(settings);
    let mut judge = Judge {
        evaluation,
        best: None,
        best_model: None,
    };
    let mut model = model;
    let mut first = 0;
    let mut store = None;
    let identity = (setup.snapshots.is_some() || ranks.size() > 1)
        .then(|| RunIdentity::new(settings, setup.objective, examples, setup.reference));
    if let Some(identity) = &identity {
        let judged = judge.evaluation.as_ref();
        let judged_every = judged.map(|it| (it.every_steps, it.keep_best));
        let saved_every = setup.snapshots.map(|it| it.every_steps);
        same_on_all(ranks, identity, (judged_every, saved_every))?;
    }
    model = share_weights(model, ranks)?;
    if let (Some(snapshots), Some(identity)) = (setup.snapshots, identity) {
        if let Some(snapshot) = newest(snapshots, &identity, ranks, on_event)? {
            let (step, path) = (snapshot.state.step, snapshot.path.clone());
            let state = snapshot.state.carried.clone();
            carried = serde_json::from_value(state).map_err(|error| Error::Snapshot {
                path: path.clone(),
                problem: error.to_string(),
            })?;
            judge.best = snapshot.state.best;
            if let (Some(best), true) = (judge.best, judge.keeps_best()) {
                judge.best_model = match best.step {
                    0 => Some(model.clone()),
                    step => restore_weights(snapshots, step, model.clone(), ranks, on_event)?,
                };
                if judge.best_model.is_none() {
                    // Without its weights it cannot be returned: whatever is judged next is the best.
                    judge.best = None;
                }
            }
            model = snapshot.restore(model, &mut optimizer, ranks)?;
            first = step;
            on_event(&Event::Resumed { step, path });
        }
        store = Some(Store::new(snapshots, identity, judge.keeps_best()));
    }
    if first == 0 {
        judge.judge(&model, 0, ranks, on_event)?;
    }
    let mut weights = Weights::new(model, settings.precision);
    let device = plain_device(weights.master());
    for (step, members) in order.iter().enumerate().skip(first) {
        let started = Instant::now();
        // Whatever a model draws in a step depends on the step alone, so a run that goes on draws the same.
        let of_rank = (ranks.rank() as u64) << 32;
        device.seed(
            settings
                .seed
                .wrapping_add(step as u64)
                .wrapping_add(of_rank),
        );
        let mine = ranks.partition(members, |member| setup.pieces[member].iter().sum());
        let mine = StepTrees {
            step,
            members: &mine,
        };
        let outcome = compute(weights.computing(), mine, &mut optimizer, &carried);
        let outcome = StepOutcome::of_ranks(ranks, outcome)?;
        let (gradients, grad_norm) = optimizer.gradients(weights.master(), ranks)?;
        let auxiliary_losses = ranks.all_gather(Ok(optimizer.take_auxiliary_loss()))?;
        let auxiliary_loss = auxiliary_losses.into_iter().flatten().reduce(|a, b| a + b);
        let numbers = [
            ("the loss", outcome.loss),
            ("the auxiliary loss", auxiliary_loss.unwrap_or(0.0)),
            ("the gradient norm", grad_norm),
        ];
        let fault = numbers.into_iter().find(|(_, value)| !value.is_finite());
        let fault = match fault {
            None => None,
            Some((what, value)) => Some(NotFinite {
                what: what.into(),
                value: value.to_string(),
                terms: if outcome.not_finite.is_empty() {
                    gradients.not_finite(ranks)?
                } else {
                    outcome.not_finite.clone()
                },
                examples: members
                    .iter()
                    .map(|&m| examples[m].id().to_owned())
                    .collect(),
            }),
        };
        let policy = settings.on_not_finite;
        if let (Some(fault), NotFinitePolicy::Stop) = (&fault, policy) {
            return Err(Error::NotFinite {
                step: step + 1,
                fault: fault.clone(),
            });
        }
        let learning_rate = schedule.at(step);
        if fault.is_none() || policy == NotFinitePolicy::Continue {
            weights = weights.update(|model| {
                optimizer.step(model, gradients, grad_norm, learning_rate, ranks)
            })?;
        }
        match fault {
            Some(fault) => on_event(&Event::NotFinite {
                step: step + 1,
                skipped: policy == NotFinitePolicy::Skip,
                fault,
            }),
            None => {
                let progress = StepProgress {
                    step: step + 1,
                    steps,
                    loss: outcome.loss,
                    auxiliary_loss,
                    learning_rate,
                    grad_norm,
                    unique_tokens: outcome.unique_tokens,
                    naive_tokens: outcome.naive_tokens,
                    utilization: outcome.unique_tokens as f64
                        / (outcome.forests.max(1) * settings.token_budget) as f64,
                    seconds: started.elapsed().as_secs_f64(),
                };
                report(progress, outcome.stats, &mut carried, on_event);
            }
        }
        let mut is_new_best = false;
        if judge.is_due(step + 1, steps) {
            is_new_best = judge.judge(weights.master(), step + 1, ranks, on_event)?;
        }
        if let Some(store) = store
            .as_ref()
            .filter(|it| is_new_best || it.is_due(step + 1, steps))
        {
            let state = serde_json::to_value(&carried).unwrap_or_default();
            let path = store.save(
                step + 1,
                weights.master(),
                &optimizer,
                state,
                judge.best,
                ranks,
            )?;
            on_event(&Event::Saved {
                step: step + 1,
                path,
            });
        }
    }
    Ok(judge.best_model.unwrap_or_else(|| weights.into_plain()))
}

/// Checks that all ranks train the same, and will wait for each other at the same steps.
fn same_on_all<P: PartialEq + Serialize + DeserializeOwned>(
    ranks: &Ranks,
    identity: &RunIdentity,
    pauses: P,
) -> Result<()> {
    let all = ranks.all_gather(Ok((identity.clone(), pauses)))?;
    let (first, first_pauses) = &all[0];
    for (rank, (identity, pauses)) in all.iter().enumerate() {
        let other_pauses = || "it is judged or saved at other steps".to_owned();
        let difference = first
            .difference(identity)
            .or_else(|| (pauses != first_pauses).then(other_pauses));
        if let Some(difference) = difference {
            return Err(Error::RanksDiffer { rank, difference });
        }
    }
    Ok(())
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
