//! Runs that end before their last step, and faults beside the training: nothing that was trained is lost.

use std::fs;
use std::path::Path;

use crate::common::{imitated, model, on_ranks, trees, weights};
use eurus_models::{Decoder, RewardModel};
use eurus_train::{
    Error, Evaluation, Event, Judgement, PreferenceTrainer, Ranks, ReferenceLogProbs,
    RewardTrainer, SftTrainer, Snapshots, StopReason, StopRequest, TrainingConfig,
};
use pref_losses::{BcoConfig, PreferenceLossConfig, RewardLossConfig, UltraInteractRewardConfig};

const STEPS: usize = 9;

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-2,
        trees_per_step: 2,
        epochs: 3,
        ..TrainingConfig::default()
    }
}

/// Weights and events of a run that ends, if it is asked to after a step, with a request.
type Train = fn(Option<Snapshots>, Option<usize>) -> (Vec<f32>, Vec<Event>);

/// Takes down events, and makes the request after a step.
fn take<'a>(
    events: &'a mut Vec<Event>,
    stop: &'a StopRequest,
    after: Option<usize>,
) -> impl FnMut(&Event) + 'a {
    move |event| {
        if event.progress().map(|progress| progress.step) == after && after.is_some() {
            stop.make();
        }
        events.push(event.clone());
    }
}

fn sft(snapshots: Option<Snapshots>, after: Option<usize>) -> (Vec<f32>, Vec<Event>) {
    let (mut events, stop) = (Vec::new(), StopRequest::default());
    let trained = SftTrainer::new(settings())
        .and_then(|it| it.with_snapshots(snapshots))
        .expect("good settings")
        .with_stop_request(stop.clone())
        .train(model(2), &imitated(6), &mut take(&mut events, &stop, after))
        .expect("it trains");
    (weights(&trained), events)
}

fn bco(snapshots: Option<Snapshots>, after: Option<usize>) -> (Vec<f32>, Vec<Event>) {
    let (mut events, stop) = (Vec::new(), StopRequest::default());
    let data = trees(6);
    let reference = ReferenceLogProbs::compute(&model(2), &data, &settings(), &mut |_| {});
    let reference = reference.expect("log-probs");
    let loss = PreferenceLossConfig::Bco(BcoConfig::default());
    let trained = PreferenceTrainer::new(settings(), &loss)
        .and_then(|it| it.with_snapshots(snapshots))
        .expect("good settings")
        .with_stop_request(stop.clone())
        .train(
            model(2),
            &data,
            &reference,
            &mut take(&mut events, &stop, after),
        )
        .expect("it trains");
    (weights(&trained), events)
}

fn reward(snapshots: Option<Snapshots>, after: Option<usize>) -> (Vec<f32>, Vec<Event>) {
    let (mut events, stop) = (Vec::new(), StopRequest::default());
    let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let body = RewardModel::from_decoder(model(2));
    let trained = RewardTrainer::new(settings(), &loss)
        .and_then(|it| it.with_snapshots(snapshots))
        .expect("good settings")
        .with_stop_request(stop.clone())
        .train(body, &trees(6), &mut take(&mut events, &stop, after))
        .expect("it trains");
    (weights(&trained), events)
}

fn only_when_it_ends_early(folder: &Path) -> Snapshots {
    Snapshots::new(folder).with_every_steps(None)
}

fn steps_on_disk(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|it| {
        it.expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_run_that_is_asked_to_end_saves_its_state_and_goes_on_from_it_bit_for_bit() {
    for train in [sft as Train, bco, reward] {
        let (whole, all_events) = train(None, None);
        assert!(
            !all_events
                .iter()
                .any(|it| matches!(it, Event::Stopped { .. }))
        );
        for after in [1, 4, STEPS - 1] {
            let folder = tempfile::tempdir().expect("a folder");
            let snapshots = only_when_it_ends_early(folder.path());
            let (part, events) = train(Some(snapshots.clone()), Some(after));
            assert_ne!(part, whole);
            let end = &events[events.len() - 2..];
            assert!(
                matches!(end, [
                    Event::Saved { step: saved, .. },
                    Event::Stopped { step, steps: STEPS, reason: StopReason::Requested },
                ] if *saved == after && *step == after),
                "{end:?}"
            );
            let (resumed, events) = train(Some(snapshots.with_resume(true)), None);
            assert!(matches!(events[0], Event::Resumed { step, .. } if step == after));
            assert_eq!(resumed, whole, "asked after step {after}");
            // A run that comes to its end is not saved unless that was asked for.
            assert_eq!(steps_on_disk(folder.path()), [format!("step-{after:08}")]);
        }
    }
}

#[test]
fn a_request_during_the_last_step_comes_too_late() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = only_when_it_ends_early(folder.path());
    let (weights, events) = sft(Some(snapshots), Some(STEPS));
    assert_eq!(weights, sft(None, None).0);
    assert!(!events.iter().any(|it| matches!(it, Event::Stopped { .. })));
    assert!(steps_on_disk(folder.path()).is_empty());
}

#[test]
fn ranks_end_at_the_same_step_whichever_of_them_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let steps = on_ranks(2, |ranks: Ranks| {
        let (mut events, stop) = (Vec::new(), StopRequest::default());
        let after = (!ranks.is_first()).then_some(2);
        let trained = SftTrainer::new(settings())
            .and_then(|it| it.with_snapshots(Some(only_when_it_ends_early(folder.path()))))
            .expect("good settings")
            .with_stop_request(stop.clone())
            .with_ranks(ranks)
            .train(model(2), &imitated(6), &mut take(&mut events, &stop, after));
        trained.expect("it trains");
        events.iter().filter(|it| it.progress().is_some()).count()
    });
    assert_eq!(steps, [2, 2]);
    assert_eq!(steps_on_disk(folder.path()), ["step-00000002"]);
}

/// A run judged after every step with these scores; an error where there is none.
fn judged(
    scores: &[Option<f64>],
    patience: Option<usize>,
    stop_at: Option<usize>,
    snapshots: Option<Snapshots>,
) -> (Result<Decoder, Error>, Vec<Event>) {
    let mut number = 0;
    let mut judge = |_: &Decoder| {
        number += 1;
        let score = scores.get(number - 1).copied().unwrap_or(Some(0.0));
        let score = score.ok_or_else(|| Error::Evaluation("the judge is tired".into()))?;
        Ok(Judgement::by_score("score", score).with_stop(stop_at == Some(number - 1)))
    };
    let mut evaluation = Evaluation {
        every_steps: 1,
        keep_best: true,
        patience,
        judge: &mut judge,
    };
    let mut events = Vec::new();
    let trained = SftTrainer::new(settings())
        .and_then(|it| it.with_snapshots(snapshots))
        .expect("good settings")
        .train_evaluated(
            model(2),
            &imitated(6),
            Some(&mut evaluation),
            &mut |event| events.push(event.clone()),
        );
    (trained, events)
}

fn stopped(events: &[Event]) -> Option<(usize, StopReason)> {
    events.iter().find_map(|event| match event {
        Event::Stopped { step, reason, .. } => Some((*step, *reason)),
        _ => None,
    })
}

fn steps_taken(events: &[Event]) -> usize {
    events.iter().filter(|it| it.progress().is_some()).count()
}

#[test]
fn patience_ends_a_run_and_the_best_weights_are_returned() {
    let scores = [0.0, 1.0, 0.5, 2.0, 1.9, 1.8, 1.7, 9.0].map(Some);
    let (trained, events) = judged(&scores, Some(3), None, None);
    // The best is that after step 3; steps 4, 5 and 6 are no better.
    assert_eq!(stopped(&events), Some((6, StopReason::Patience)));
    assert_eq!(steps_taken(&events), 6);
    let folder = tempfile::tempdir().expect("a folder");
    let (best, _) = sft(Some(only_when_it_ends_early(folder.path())), Some(3));
    assert_eq!(weights(&trained.expect("it trains")), best);
}

#[test]
fn patience_counts_on_in_a_run_that_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = Snapshots::new(folder.path())
        .with_every_steps(1)
        .with_keep(9);
    let falling = [0.0, 1.0, 0.9, 0.8, 0.7, 0.6].map(Some);
    let (_, events) = judged(&falling, Some(4), None, Some(snapshots.clone()));
    assert_eq!(stopped(&events), Some((5, StopReason::Patience)));
    for step in [4, 5] {
        fs::remove_dir_all(folder.path().join(format!("step-{step:08}"))).expect("it was saved");
    }
    // Two evaluations after the best are known, two more are worse.
    let again = snapshots.with_resume(true);
    let (_, events) = judged(&[Some(0.7), Some(0.6)], Some(4), None, Some(again.clone()));
    assert!(matches!(events[0], Event::Resumed { step: 3, .. }));
    assert_eq!(stopped(&events), Some((5, StopReason::Patience)));
    // A run that has lost its patience has none when it goes on, unless it is given more.
    let (_, events) = judged(&[], Some(4), None, Some(again.clone()));
    assert_eq!(
        (steps_taken(&events), stopped(&events)),
        (0, Some((5, StopReason::Patience)))
    );
    let (_, events) = judged(&[], None, None, Some(again));
    assert_eq!((steps_taken(&events), stopped(&events)), (STEPS - 5, None));
}

#[test]
fn a_judge_can_end_a_run() {
    let (_, events) = judged(&[], None, Some(4), None);
    assert_eq!(stopped(&events), Some((4, StopReason::Judge)));
    assert_eq!(steps_taken(&events), 4);
}

#[test]
fn a_judge_that_fails_costs_its_judgement_and_not_the_model() {
    let scores = [
        Some(0.0),
        None,
        Some(1.0),
        None,
        None,
        None,
        None,
        None,
        None,
        None,
    ];
    let (trained, events) = judged(&scores, Some(2), None, None);
    let best = weights(&trained.expect("it trains to its end"));
    let failed: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::NotEvaluated { step, problem } => {
                assert!(problem.contains("the judge is tired"), "{problem}");
                Some(*step)
            }
            _ => None,
        })
        .collect();
    assert_eq!(failed, [1, 3, 4, 5, 6, 7, 8, 9]);
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(
        best,
        sft(Some(only_when_it_ends_early(folder.path())), Some(2)).0
    );
}

#[test]
fn a_judge_that_fails_before_the_first_step_ends_the_run() {
    let (trained, events) = judged(&[None], None, None, None);
    let error = trained.map(drop).expect_err("nothing is lost yet");
    assert!(matches!(error, Error::Evaluation(_)), "{error}");
    assert_eq!(steps_taken(&events), 0);
}

#[test]
fn a_state_that_cannot_be_saved_does_not_end_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("snapshots");
    let mut events = Vec::new();
    let trained = SftTrainer::new(settings())
        .and_then(|it| it.with_snapshots(Some(Snapshots::new(&place).with_every_steps(2))))
        .expect("good settings")
        .train(model(2), &imitated(6), &mut |event| {
            if event.progress().is_some_and(|it| it.step == 5) {
                // As if somebody had tidied up.
                fs::remove_dir_all(&place).expect("two snapshots");
                fs::write(&place, "").expect("a file");
            }
            events.push(event.clone());
        })
        .expect("it trains");
    assert_eq!(weights(&trained), sft(None, None).0);
    let not_saved: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::NotSaved { step, problem } => {
                assert!(problem.contains("snapshots"), "{problem}");
                Some(*step)
            }
            _ => None,
        })
        .collect();
    assert_eq!(not_saved, [6, 8, 9]);
}
