//! A reference that follows the policy (TR-DPO).

use eurus_train::{Error, PreferenceTrainer, Ranks, ReferenceSync, Snapshots, TrainingConfig};
use pref_losses::{DpoConfig, KtoConfig, PreferenceLossConfig, SimpoConfig};
use token_forest::{TrainingTree, add_mismatched};

use crate::common::{model, on_ranks, proportional_steps, same_but_for_rounding, trees, weights};

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-3,
        trees_per_step: 2,
        epochs: 3,
        ..TrainingConfig::default()
    }
}

fn data() -> Vec<TrainingTree> {
    let mut trees = trees(6);
    add_mismatched(&mut trees, 1).expect("several trees");
    trees
}

fn sync(every_steps: usize, mixing: f64) -> Option<ReferenceSync> {
    Some(ReferenceSync {
        every_steps,
        mixing,
    })
}

/// Losses and chosen rewards of the steps of a run, and the weights it ends with.
type Run = (Vec<[f64; 2]>, Vec<f32>);

fn learn(
    loss: &PreferenceLossConfig,
    settings: &TrainingConfig,
    sync: Option<ReferenceSync>,
    snapshots: Option<Snapshots>,
    ranks: Ranks,
) -> Result<Run, Error> {
    let (policy, data) = (model(5), data());
    let trainer = PreferenceTrainer::new(settings.clone(), loss)?
        .with_reference_sync(sync)?
        .with_snapshots(snapshots)?
        .with_ranks(ranks);
    let reference = trainer.reference(&policy, &data, None, &mut |_| {})?;
    let mut steps = Vec::new();
    let trained = trainer.train(policy, &data, &reference, &mut |event| {
        if let (Some(progress), Some(stats)) = (event.progress(), event.preferences()) {
            steps.push([progress.loss, stats.chosen_reward]);
        }
    })?;
    Ok((steps, weights(&trained)))
}

fn dpo() -> PreferenceLossConfig {
    PreferenceLossConfig::Dpo(DpoConfig {
        beta: 1.0,
        ..DpoConfig::default()
    })
}

fn alone(sync: Option<ReferenceSync>) -> Run {
    learn(&dpo(), &settings(), sync, None, Ranks::default()).expect("training")
}

#[test]
fn a_reference_that_is_the_policy_of_the_step_before_gives_ln_2_at_every_step() {
    let (steps, _) = alone(sync(1, 1.0));
    assert_eq!(steps.len(), 9);
    for [loss, chosen_reward] in steps {
        assert!((loss - 2f64.ln()).abs() < 1e-5, "{loss}");
        assert!(chosen_reward.abs() < 1e-5, "{chosen_reward}");
    }
}

#[test]
fn the_reference_follows_when_it_is_time_and_as_far_as_it_shall() {
    let plain = alone(None);
    assert_eq!(alone(sync(100, 1.0)), plain, "it is never time");
    let (late, _) = alone(sync(4, 1.0));
    assert_eq!(late[..4], plain.0[..4], "until then all is as it was");
    assert!((late[4][0] - 2f64.ln()).abs() < 1e-5, "{late:?}");
    // Half of the way to the policy leaves a part of the reward.
    let (half, _) = alone(sync(4, 0.5));
    let reward = |steps: &[[f64; 2]]| steps[4][1].abs();
    assert!(reward(&late) < 1e-5 && reward(&half) > 1e-4);
    assert!(reward(&half) < reward(&plain.0));
}

#[test]
fn a_moving_reference_does_not_depend_on_the_token_budget_or_on_the_ranks() {
    let kto = PreferenceLossConfig::Kto(KtoConfig::default());
    for loss in [dpo(), kto] {
        let settings = proportional_steps(settings());
        let run = |settings: &TrainingConfig, ranks| {
            let run = learn(&loss, settings, sync(2, 0.7), None, ranks);
            run.expect("training").0
        };
        let whole = run(&settings, Ranks::default());
        let split = TrainingConfig {
            token_budget: 25,
            ..settings.clone()
        };
        let split = run(&split, Ranks::default());
        let of_ranks = on_ranks(2, |ranks| run(&settings, ranks));
        for other in of_ranks.iter().chain([&split]) {
            for (a, b) in whole.iter().flatten().zip(other.iter().flatten()) {
                assert!(same_but_for_rounding(*a, *b), "{a} against {b}");
            }
        }
    }
}

#[test]
fn a_run_goes_on_with_the_reference_it_had() {
    let whole = alone(sync(2, 0.7));
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = || {
        Snapshots::new(folder.path())
            .with_every_steps(1)
            .with_keep(9)
    };
    let run = |snapshots, sync| learn(&dpo(), &settings(), sync, Some(snapshots), Ranks::default());
    let saved = run(snapshots(), sync(2, 0.7)).expect("training");
    assert_eq!(saved, whole, "saving changes nothing");
    // Before the first update, right after one, and between two.
    for killed_after in [5, 4, 1] {
        for later in killed_after + 1..=9 {
            let path = folder.path().join(format!("step-{later:08}"));
            if path.exists() {
                std::fs::remove_dir_all(path).expect("a snapshot");
            }
        }
        let again = || snapshots().with_resume(true);
        let (rest, weights) = run(again(), sync(2, 0.7)).expect("it goes on");
        assert_eq!(rest, whole.0[killed_after..], "killed after {killed_after}");
        assert_eq!(weights, whole.1, "killed after {killed_after}");
        let other = run(again(), sync(2, 0.6)).expect_err("another run");
        assert!(matches!(other, Error::OtherRun { .. }), "{other}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let trainer =
        |loss: &PreferenceLossConfig| PreferenceTrainer::new(settings(), loss).expect("valid");
    for (every_steps, mixing) in [(0, 0.5), (1, 0.0), (1, 1.5), (1, f64::NAN)] {
        let error = trainer(&dpo()).with_reference_sync(sync(every_steps, mixing));
        assert!(matches!(error, Err(Error::Config { .. })));
    }
    let simpo = PreferenceLossConfig::Simpo(SimpoConfig::default());
    let error = trainer(&simpo)
        .with_reference_sync(sync(1, 1.0))
        .expect_err("no reference");
    assert!(
        error.to_string().contains("does not look at a reference"),
        "{error}"
    );
    let data = data();
    let other = trainer(&dpo()).with_other_reference(true);
    let reference = other
        .reference(&model(6), &data, None, &mut |_| {})
        .expect("a reference");
    let other = other
        .with_reference_sync(sync(1, 1.0))
        .expect("valid by itself");
    let error = other
        .train(model(5), &data, &reference, &mut |_| {})
        .expect_err("two at once");
    assert!(
        error.to_string().contains("begins as the policy"),
        "{error}"
    );
}
