//! The loop that all trainers share.

mod judge;
mod objective;

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use token_forest::TrainingTree;

use crate::digest;
use crate::evaluation::Evaluation;
use crate::events::{Event, StepProgress};
use crate::optimizer::{StepGradients, StepOptimizer};
use crate::order::step_order;
use crate::precision::Weights;
use crate::snapshot::{Judged, Snapshots, Store, newest, restore_weights, share_weights};
use crate::{
    Error, NotFinite, NotFinitePolicy, Ranks, Result, RunIdentity, Schedule, StopReason,
    StopRequest, TrainingConfig,
};

use judge::Judge;
pub(crate) use objective::{Memory, Objective, StepOutcome, StepStats, StepTrees};

/// What a run is made of, whatever the loss.
#[derive(Clone)]
pub(crate) struct RunSetup<'a> {
    pub settings: &'a TrainingConfig,
    pub examples: &'a [TrainingTree],
    /// Tokens of the pieces that each is packed in: what steps are filled with, and what the trees of one are shared out by.
    pub pieces: &'a [Vec<usize>],
    pub ranks: &'a Ranks,
    pub snapshots: Option<&'a Snapshots>,
    pub stop: &'a StopRequest,
    pub identity: RunIdentity,
}

/// A run of a trainer: [`train`](Self::train) begins, goes on from a snapshot, takes the steps and ends.
pub(crate) struct Run<'a, 'b, M, O> {
    setup: RunSetup<'a>,
    objective: O,
    judge: Judge<'a, 'b, M>,
    on_event: &'a mut dyn FnMut(&Event),
    /// The trees of each step, by index.
    order: Vec<Vec<usize>>,
    schedule: Schedule,
    optimizer: StepOptimizer,
    store: Option<Store<'a>>,
    /// The step of the newest snapshot of this run.
    saved: Option<usize>,
}

/// What a step computed, before its update.
struct Computed<S> {
    outcome: StepOutcome<S>,
    gradients: StepGradients,
    grad_norm: f64,
    auxiliary_loss: Option<f64>,
    fault: Option<NotFinite>,
    started: Instant,
}

impl<'a, 'b, M: Module, O: Objective<M>> Run<'a, 'b, M, O> {
    /// Runs all steps, and returns the trained model without autodiff.
    pub fn train(
        model: M,
        setup: RunSetup<'a>,
        objective: O,
        evaluation: Option<&'a mut Evaluation<'b, M>>,
        on_event: &'a mut dyn FnMut(&Event),
    ) -> Result<M> {
        let ranks = setup.ranks;
        ranks.all_ok(setup.settings.precision.check(&plain_device(&model)))?;
        let order = step_order(setup.pieces, setup.settings);
        let mut run = Self {
            objective,
            judge: Judge {
                evaluation,
                judged: Judged::default(),
                best_model: None,
                stop: false,
            },
            on_event,
            schedule: Schedule::new(
                setup.settings.learning_rate,
                setup.settings.decay,
                setup.settings.warmup_ratio,
                order.len(),
            ),
            order,
            optimizer: StepOptimizer::new(setup.settings),
            store: None,
            saved: None,
            setup,
        };
        let identity = run.agree(&model)?;
        let model = share_weights(model, ranks)?;
        let (model, first) = run.go_on(model, identity)?;
        if first == 0 {
            run.judge.judge(&model, 0, ranks, run.on_event)?;
        }
        let mut weights = Weights::new(model, run.setup.settings.precision);
        for step in first..run.order.len() {
            if run.stops(step, &weights)? {
                break;
            }
            let gradients = match run.gradients(step, &weights) {
                Ok(gradients) => gradients,
                Err(error) => {
                    run.keep_after(&error, step, &weights);
                    return Err(error);
                }
            };
            weights = run.update(step, weights, gradients)?;
            if step == first {
                run.tell_of_products();
            }
            let is_new_best = run.evaluate(step + 1, &weights)?;
            run.save_if_due(step + 1, &weights, is_new_best)?;
        }
        let Self {
            judge, optimizer, ..
        } = run;
        // Whole weights take the room of what the optimizer kept.
        drop(optimizer);
        Ok(judge.best_model.unwrap_or_else(|| weights.into_plain()))
    }

    /// What a GPU multiplies by is known once it has.
    fn tell_of_products(&mut self) {
        #[cfg(any(feature = "cuda", feature = "wgpu"))]
        if let Some(library) = gpu_kernels::product::library() {
            let by = library.to_string();
            (self.on_event)(&Event::MatrixProducts { by });
        }
    }

    /// What makes this run the run that it is, where somebody wants to know; all ranks have the same.
    fn agree(&self, model: &M) -> Result<Option<RunIdentity>> {
        let RunSetup {
            ranks, snapshots, ..
        } = self.setup;
        if snapshots.is_none() && ranks.size() == 1 {
            return Ok(None);
        }
        let identity = self.setup.identity.clone();
        let judged = self.judge.evaluation.as_ref();
        let judged_every = judged.map(|it| (it.every_steps, it.keep_best, it.patience));
        let saved_every = snapshots.map(|it| it.every_steps);
        same_on_all(ranks, &identity, (judged_every, saved_every))?;
        if snapshots.is_none() {
            return Ok(Some(identity));
        }
        // The first rank's weights are given to all.
        let with_model = || Ok(identity.with_model(|| digest::of_model(model).0));
        ranks.of_first(with_model).map(Some)
    }

    /// The model after the newest snapshot, if the run is to go on from one, and the number of steps taken then.
    fn go_on(&mut self, mut model: M, identity: Option<RunIdentity>) -> Result<(M, usize)> {
        let (Some(snapshots), Some(identity)) = (self.setup.snapshots, identity) else {
            return Ok((model, 0));
        };
        let ranks = self.setup.ranks;
        let mut first = 0;
        if let Some(snapshot) = newest(snapshots, &identity, ranks, self.on_event)? {
            let (step, path) = (snapshot.state.step, snapshot.path.clone());
            if step > self.order.len() {
                let (taken, steps) = (step, self.order.len());
                return Err(Error::NotLonger { path, taken, steps });
            }
            self.judge.judged = snapshot.state.judged;
            if let (Some(best), true) = (self.judge.judged.best, self.judge.keeps_best()) {
                self.judge.best_model = match best.step {
                    0 => Some(model.clone()),
                    step => {
                        let fresh = model.clone();
                        restore_weights(snapshots, step, fresh, ranks, self.on_event)?
                    }
                };
                if self.judge.best_model.is_none() {
                    // Without its weights it cannot be returned: whatever is judged next is the best.
                    self.judge.judged = Judged::default();
                }
            }
            let remembered = snapshot.restore_remembered(&model, ranks)?;
            let state = snapshot.state.carried.clone();
            let recalled = self.objective.recall(state, remembered);
            recalled.map_err(|error| Error::Snapshot {
                path: path.clone(),
                problem: error.to_string(),
            })?;
            model = snapshot.restore(model, &mut self.optimizer, ranks)?;
            first = step;
            self.saved = Some(step);
            (self.on_event)(&Event::Resumed { step, path });
        }
        let keeps_best = self.judge.keeps_best();
        self.store = Some(Store::new(snapshots, identity, keeps_best, ranks)?);
        Ok((model, first))
    }

    /// The gradients of a step, counted from 0. An error leaves the weights as they were.
    fn gradients(&mut self, step: usize, weights: &Weights<M>) -> Result<Computed<O::Stats>> {
        let started = Instant::now();
        let RunSetup {
            settings, ranks, ..
        } = self.setup;
        // Whatever a model draws in a step depends on the step alone, so a run that goes on draws the same.
        let of_rank = (ranks.rank() as u64) << 32;
        let seed = settings.seed.wrapping_add(step as u64);
        plain_device(weights.computing()).seed(seed.wrapping_add(of_rank));
        let pieces = self.setup.pieces;
        let mine = ranks.partition(&self.order[step], |member| pieces[member].iter().sum());
        let trees = StepTrees {
            step,
            members: &mine,
        };
        let optimizer = &mut self.optimizer;
        let outcome = self
            .objective
            .compute(weights.computing(), trees, optimizer);
        let outcome = StepOutcome::of_ranks(ranks, outcome)?;
        let (gradients, grad_norm) = self.optimizer.gradients(weights.computing(), ranks)?;
        let auxiliary_losses = ranks.all_gather(Ok(self.optimizer.take_auxiliary_loss()))?;
        let auxiliary_loss = auxiliary_losses.into_iter().flatten().reduce(|a, b| a + b);
        let numbers = [
            ("the loss", outcome.loss),
            ("the auxiliary loss", auxiliary_loss.unwrap_or(0.0)),
            ("the gradient norm", grad_norm),
        ];
        let fault = match numbers.into_iter().find(|(_, value)| !value.is_finite()) {
            None => None,
            Some((what, value)) => {
                let terms = if outcome.not_finite.is_empty() {
                    gradients.not_finite(ranks)?
                } else {
                    outcome.not_finite.clone()
                };
                Some(self.fault(step, what, value, terms)?)
            }
        };
        if fault.is_none() && grad_norm == 0.0 {
            self.check_no_gradient(step, outcome.loss, gradients.count())?;
        }
        Ok(Computed {
            outcome,
            gradients,
            grad_norm,
            auxiliary_loss,
            fault,
            started,
        })
    }

    /// Takes a step, counted from 0, and tells of it.
    fn update(
        &mut self,
        step: usize,
        weights: Weights<M>,
        computed: Computed<O::Stats>,
    ) -> Result<Weights<M>> {
        let Computed {
            outcome,
            gradients,
            grad_norm,
            auxiliary_loss,
            fault,
            started,
        } = computed;
        let RunSetup {
            settings, ranks, ..
        } = self.setup;
        let learning_rate = self.schedule.at(step);
        let takes = fault.is_none() || settings.on_not_finite == NotFinitePolicy::Continue;
        let weights = match takes {
            true => weights.update(|model, remainders| {
                let optimizer = &mut self.optimizer;
                optimizer.step(
                    model,
                    remainders,
                    gradients,
                    grad_norm,
                    learning_rate,
                    ranks,
                )
            })?,
            false => weights,
        };
        self.objective.updated(step + 1, &weights)?;
        match fault {
            Some(fault) => (self.on_event)(&Event::NotFinite {
                step: step + 1,
                skipped: !takes,
                fault,
            }),
            None => {
                let room = outcome.forests.max(1) * settings.token_budget;
                let progress = StepProgress {
                    step: step + 1,
                    steps: self.order.len(),
                    loss: outcome.loss,
                    auxiliary_loss,
                    learning_rate,
                    grad_norm,
                    unique_tokens: outcome.unique_tokens,
                    naive_tokens: outcome.naive_tokens,
                    utilization: outcome.unique_tokens as f64 / room as f64,
                    seconds: started.elapsed().as_secs_f64(),
                    peak_resident_bytes: None,
                };
                self.objective
                    .report(progress, outcome.stats, self.on_event);
            }
        }
        Ok(weights)
    }

    /// Refuses a step whose gradients are all zero. A loss that is 0 or nearly so once the run has learned something is at its
    /// least, as a hinge is for pairs that are far enough apart, and no fault.
    fn check_no_gradient(&self, step: usize, loss: f64, parameters: usize) -> Result<()> {
        // Squares of gradients this small are 0 in single precision before the loss is.
        let is_learned = loss.abs() < 1e-20 && self.optimizer.has_updated();
        if is_learned {
            return Ok(());
        }
        let cause = match (parameters, loss) {
            (0, _) => "the loss reaches no parameter that is trained; are all of them frozen, or does the model compute without autodiff?".to_owned(),
            (_, 0.0) => "the loss is 0 for every example; is everything masked, or weighted with 0?".to_owned(),
            (_, loss) => format!(
                "the loss is {loss} and none of the {parameters} parameters that are trained changes it; are adapters or terms of the loss weighted with 0, or is the model so far off that the loss is flat (a lower learning rate)?"
            ),
        };
        Err(Error::NoGradient {
            step: step + 1,
            cause,
            examples: self.examples_of(step),
        })
    }

    /// Ids of a step's examples.
    fn examples_of(&self, step: usize) -> Vec<String> {
        let examples = self.order[step].iter();
        examples
            .map(|&member| self.setup.examples[member].id().to_owned())
            .collect()
    }

    /// A number of a step that is not finite; an error if that ends the run.
    fn fault(&self, step: usize, what: &str, value: f64, terms: Vec<String>) -> Result<NotFinite> {
        let fault = NotFinite {
            what: what.into(),
            value: value.to_string(),
            terms,
            examples: self.examples_of(step),
        };
        match self.setup.settings.on_not_finite {
            NotFinitePolicy::Stop => Err(Error::NotFinite {
                step: step + 1,
                fault,
            }),
            NotFinitePolicy::Skip | NotFinitePolicy::Continue => Ok(fault),
        }
    }

    /// Judges the model after `step` steps, if it is due. Returns whether it is the best so far and to be kept.
    fn evaluate(&mut self, step: usize, weights: &Weights<M>) -> Result<bool> {
        match self.judge.is_due(step, self.order.len()) {
            true => self
                .judge
                .judge(&weights.exact(), step, self.setup.ranks, self.on_event),
            false => Ok(false),
        }
    }

    /// Whether the run ends here, after `step` steps and before its last one. Its state is saved then.
    fn stops(&mut self, step: usize, weights: &Weights<M>) -> Result<bool> {
        let RunSetup {
            ranks, snapshots, ..
        } = self.setup;
        let mine = self.setup.stop.is_made();
        let requested = match ranks.size() {
            1 => mine,
            // One rank may have heard of it before the others.
            _ => ranks.all_gather(Ok(mine))?.contains(&true),
        };
        let judged = self.judge.stop_reason();
        let Some(reason) = requested.then_some(StopReason::Requested).or(judged) else {
            return Ok(false);
        };
        // A run that its judgements end is done, and saved as at its end; another one is to go on.
        if requested || snapshots.is_some_and(|it| it.every_steps.is_some()) {
            self.save(step, weights)?;
        }
        (self.on_event)(&Event::Stopped {
            step,
            steps: self.order.len(),
            reason,
        });
        Ok(true)
    }

    /// Saves the state that an error leaves behind, as far as all ranks know of the error: otherwise one would wait for the
    /// others. Another error of saving does not hide the first.
    fn keep_after(&mut self, error: &Error, step: usize, weights: &Weights<M>) {
        let of_all = matches!(error, Error::NotFinite { .. } | Error::NoGradient { .. });
        if of_all || self.setup.ranks.size() == 1 {
            let _ = self.save(step, weights);
        }
    }

    /// Saves the state after `step` steps, if it is due or the best so far.
    fn save_if_due(&mut self, step: usize, weights: &Weights<M>, is_new_best: bool) -> Result<()> {
        let is_last = step == self.order.len();
        let store = self.store.as_ref();
        match store.is_some_and(|it| is_new_best || it.is_due(step, is_last)) {
            true => self.save(step, weights),
            false => Ok(()),
        }
    }

    /// Saves the state after `step` steps, unless it is saved already or nothing is trained yet.
    fn save(&mut self, step: usize, weights: &Weights<M>) -> Result<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        if step == 0 || self.saved == Some(step) {
            return Ok(());
        }
        let (judged, ranks) = (self.judge.judged, self.setup.ranks);
        let memory = self.objective.memory();
        let model = weights.exact();
        let event = match store.save(step, &model, &self.optimizer, memory, judged, ranks)? {
            Ok(path) => {
                self.saved = Some(step);
                Event::Saved { step, path }
            }
            Err(problem) => Event::NotSaved { step, problem },
        };
        (self.on_event)(&event);
        Ok(())
    }
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
            .differences(identity, false)
            .into_iter()
            .next()
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
