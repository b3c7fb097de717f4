//! Judging a model during training: it changes nothing, and the best one can be kept.

use std::path::Path;

use crate::common::{imitated, model, trees, weights};
use eurus_models::{Decoder, RewardModel};
use eurus_train::{
    Evaluation, Event, Judgement, PreferenceTrainer, ReferenceLogProbs, Result, RewardTrainer,
    SftTrainer, Snapshots, StopRequest, TrainingConfig,
};
use pref_losses::{DpoConfig, PreferenceLossConfig, RewardLossConfig, UltraInteractRewardConfig};

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-2,
        trees_per_step: 2,
        epochs: 3,
        ..TrainingConfig::default()
    }
}

/// Trains nine steps; `score` gives each evaluation's score from its place in the run.
fn run(
    snapshots: Option<Snapshots>,
    keep_best: bool,
    score: &dyn Fn(usize) -> f64,
) -> (Decoder, Vec<Event>, Vec<Vec<f32>>) {
    run_until(usize::MAX, snapshots, keep_best, score)
}

/// As [`run`], ended on request after so many steps.
fn run_until(
    last: usize,
    snapshots: Option<Snapshots>,
    keep_best: bool,
    score: &dyn Fn(usize) -> f64,
) -> (Decoder, Vec<Event>, Vec<Vec<f32>>) {
    let stop = StopRequest::default();
    let mut seen = Vec::new();
    let mut judge = |model: &Decoder| -> Result<Judgement> {
        seen.push(weights(model));
        Ok(Judgement::by_score("score", 0.0))
    };
    // The judge knows the model alone, so scores are put in by the evaluation's number.
    let mut number = 0;
    let mut scored = |model: &Decoder| {
        let judgement = judge(model)?;
        number += 1;
        Ok(Judgement {
            score: score(number - 1),
            ..judgement
        })
    };
    let mut events = Vec::new();
    let mut evaluation = Evaluation {
        every_steps: 2,
        keep_best,
        patience: None,
        judge: &mut scored,
    };
    let trained = SftTrainer::new(settings())
        .expect("good settings")
        .with_snapshots(snapshots)
        .expect("good settings")
        .with_stop_request(stop.clone())
        .train_evaluated(
            model(1),
            &imitated(6),
            Some(&mut evaluation),
            &mut |event| {
                if event.progress().is_some_and(|it| it.step == last) {
                    stop.make();
                }
                events.push(event.clone());
            },
        )
        .expect("it trains");
    (trained, events, seen)
}

fn evaluated(events: &[Event]) -> Vec<(usize, bool)> {
    let of = |event: &Event| match event {
        Event::Evaluated { step, best, .. } => Some((*step, *best)),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

#[test]
fn the_model_is_judged_before_every_so_many_and_after_all_steps() {
    let (_, events, _) = run(None, false, &|number| number as f64);
    let steps: Vec<usize> = evaluated(&events).iter().map(|it| it.0).collect();
    assert_eq!(steps, [0, 2, 4, 6, 8, 9]);
}

#[test]
fn judging_does_not_change_the_training() {
    let alone = SftTrainer::new(settings())
        .expect("good settings")
        .train(model(1), &imitated(6), &mut |_| {})
        .expect("it trains");
    let (judged, ..) = run(None, false, &|number| -(number as f64));
    assert_eq!(weights(&alone), weights(&judged));
}

#[test]
fn the_best_weights_are_returned_if_they_are_kept() {
    // The third evaluation, after four steps, is the best.
    let score = |number: usize| if number == 2 { 1.0 } else { -(number as f64) };
    let (best, events, seen) = run(None, true, &score);
    assert_eq!(weights(&best), seen[2]);
    assert_eq!(evaluated(&events)[2], (4, true));
    let (last, _, seen) = run(None, false, &score);
    assert_eq!(weights(&last), seen[5]);
}

fn steps_on_disk(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the snapshots");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_best_snapshot_outlives_newer_ones_and_a_run_that_goes_on_returns_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = Snapshots::new(folder.path())
        .with_every_steps(1)
        .with_keep(1);
    let score = |number: usize| if number == 1 { 1.0 } else { 0.0 };
    let (best, ..) = run(Some(snapshots.clone()), true, &score);
    assert_eq!(
        steps_on_disk(folder.path()),
        ["step-00000002", "step-00000009"]
    );
    // All that comes after is worse than what is on disk.
    let (again, events, _) = run(Some(snapshots.with_resume(true)), true, &|_| 0.5);
    assert!(matches!(events[0], Event::Resumed { step: 9, .. }));
    assert_eq!(weights(&again), weights(&best));
}

#[test]
fn a_run_that_saves_only_at_its_end_goes_on_with_its_best() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = Snapshots::new(folder.path()).with_every_steps(None);
    // The second evaluation, after two steps, is the best of the whole run.
    let score = |number: usize| if number == 1 { 1.0 } else { 0.0 };
    let (best, ..) = run(None, true, &score);
    run_until(5, Some(snapshots.clone()), true, &score);
    let (resumed, events, _) = run(Some(snapshots.with_resume(true)), true, &|_| 0.5);
    assert!(matches!(events[0], Event::Resumed { step: 5, .. }));
    assert_eq!(weights(&resumed), weights(&best));
}

#[test]
fn a_run_whose_best_snapshot_is_damaged_names_it_and_goes_on_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = Snapshots::new(folder.path())
        .with_every_steps(1)
        .with_keep(1);
    let score = |number: usize| if number == 1 { 1.0 } else { 0.0 };
    run(Some(snapshots.clone()), true, &score);
    let best = folder.path().join("step-00000002");
    std::fs::write(best.join("weights.safetensors"), "broken").expect("damage");
    let (_, events, _) = run(Some(snapshots.with_resume(true)), true, &|_| 0.5);
    let damaged =
        |event: &Event| matches!(event, Event::DamagedSnapshot { path, .. } if *path == best);
    assert!(events.iter().any(damaged), "{events:?}");
    assert!(
        events
            .iter()
            .any(|it| matches!(it, Event::Resumed { step: 9, .. }))
    );
}

#[test]
fn held_out_losses_are_those_of_a_step_on_the_same_trees() {
    let whole = TrainingConfig {
        trees_per_step: 6,
        max_steps: Some(1),
        ..settings()
    };
    let mut first = Vec::new();
    let mut take = |event: &Event| first.extend(event.progress().map(|progress| progress.loss));

    let sft = SftTrainer::new(whole.clone()).expect("good settings");
    let sft_loss = sft.evaluate(&model(1), &imitated(6)).expect("a loss");
    sft.train(model(1), &imitated(6), &mut take)
        .expect("it trains");

    let trees = trees(6);
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let dpo = PreferenceTrainer::new(whole.clone(), &loss).expect("good settings");
    let reference = ReferenceLogProbs::compute(&model(1), &trees, &whole, &mut |_| {});
    let reference = reference.expect("log-probs");
    let pairs = dpo
        .evaluate(&model(1), &trees, &reference)
        .expect("statistics");
    dpo.train(model(1), &trees, &reference, &mut take)
        .expect("it trains");

    let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let reward = RewardTrainer::new(whole, &loss).expect("good settings");
    let body = || RewardModel::from_decoder(model(1));
    let rewards = reward.evaluate(&body(), &trees).expect("statistics");
    reward.train(body(), &trees, &mut take).expect("it trains");

    for (held_out, trained) in [sft_loss, pairs.loss, rewards.loss].into_iter().zip(first) {
        assert!(
            (held_out - trained).abs() < 1e-6,
            "{held_out} held out, {trained} trained"
        );
    }
}

#[test]
fn a_score_that_is_no_number_is_never_the_best_and_leaves_the_snapshots_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = Snapshots::new(folder.path()).with_every_steps(1);
    let (_, events, _) = run(Some(snapshots.clone()), true, &|_| f64::NAN);
    assert!(evaluated(&events).iter().all(|(_, best)| !best));
    let (_, events, _) = run(Some(snapshots.with_resume(true)), true, &|_| f64::NAN);
    assert!(matches!(events[0], Event::Resumed { step: 9, .. }));
}
