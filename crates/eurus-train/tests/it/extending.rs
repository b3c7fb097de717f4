//! A finished run that goes on to more steps.

use std::path::Path;

use crate::common::{imitated, model, weights};
use eurus_train::{Decay, Error, Event, Schedule, SftTrainer, Snapshots, TrainingConfig};

fn settings(epochs: usize) -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-2,
        trees_per_step: 2,
        warmup_ratio: 0.0,
        decay: Decay::Constant,
        epochs,
        ..TrainingConfig::default()
    }
}

fn train(
    settings: TrainingConfig,
    snapshots: Option<Snapshots>,
) -> Result<(Vec<f32>, Vec<Event>), Error> {
    let mut events = Vec::new();
    let trained = SftTrainer::new(settings)?
        .with_snapshots(snapshots)?
        .train(model(2), &imitated(6), &mut |event| {
            events.push(event.clone())
        })?;
    Ok((weights(&trained), events))
}

fn at_the_end(folder: &Path) -> Snapshots {
    Snapshots::new(folder).with_every_steps(100)
}

fn rates(events: &[Event]) -> Vec<f64> {
    let steps = events.iter().filter_map(Event::progress);
    steps.map(|step| step.learning_rate).collect()
}

#[test]
fn an_extended_run_is_the_longer_one_where_the_rate_does_not_depend_on_the_length() {
    let folder = tempfile::tempdir().expect("a folder");
    train(settings(1), Some(at_the_end(folder.path()))).expect("it trains");
    let extended = at_the_end(folder.path()).with_extend(true);
    let (longer, events) = train(settings(3), Some(extended.clone())).expect("it goes on");
    assert!(matches!(events[0], Event::Resumed { step: 3, .. }));
    assert_eq!(longer, train(settings(3), None).expect("it trains").0);
    // It is now a run of that length: the same command takes it as it is, and one that does not extend too.
    let (again, events) = train(settings(3), Some(extended)).expect("nothing is left to do");
    assert_eq!((again, rates(&events).len()), (longer.clone(), 0));
    let resumed = at_the_end(folder.path()).with_resume(true);
    assert_eq!(
        train(settings(3), Some(resumed)).expect("the same").0,
        longer
    );
}

#[test]
fn the_rates_of_an_extended_run_are_those_of_the_new_length() {
    let cosine = |epochs| TrainingConfig {
        decay: Decay::Cosine,
        ..settings(epochs)
    };
    let folder = tempfile::tempdir().expect("a folder");
    train(cosine(1), Some(at_the_end(folder.path()))).expect("it trains");
    let extended = at_the_end(folder.path()).with_extend(true);
    let (_, events) = train(cosine(2), Some(extended)).expect("it goes on");
    let schedule = Schedule::new(1e-2, Decay::Cosine, 0.0, 6);
    assert_eq!(rates(&events), [3, 4, 5].map(|step| schedule.at(step)));
}

#[test]
fn a_longer_run_is_refused_without_being_asked_for_and_a_shorter_one_always() {
    let folder = tempfile::tempdir().expect("a folder");
    train(settings(2), Some(at_the_end(folder.path()))).expect("it trains");
    let refused = |settings, snapshots| match train(settings, Some(snapshots)) {
        Ok(_) => panic!("it went on"),
        Err(error) => error.to_string(),
    };
    let error = refused(settings(3), at_the_end(folder.path()).with_resume(true));
    assert!(error.contains("epochs was 2 and is 3"), "{error}");
    let extended = || at_the_end(folder.path()).with_extend(true);
    let error = refused(settings(1), extended());
    assert!(
        error.contains("has taken 6 steps, more than the 3"),
        "{error}"
    );
    let other = TrainingConfig {
        seed: 1,
        ..settings(3)
    };
    let error = refused(other, extended());
    assert!(error.contains("seed was 0 and is 1"), "{error}");
}

#[test]
fn there_must_be_a_run_to_extend() {
    let folder = tempfile::tempdir().expect("a folder");
    let nothing = at_the_end(folder.path()).with_extend(true);
    let error = train(settings(2), Some(nothing))
        .map(drop)
        .expect_err("nothing is there");
    assert!(matches!(error, Error::NothingToExtend { .. }), "{error}");
}
