//! A run that goes on from a snapshot is the run that was never interrupted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{imitated, model, trees, weights};
use eurus_models::RewardModel;
use eurus_models::lora::{Adapted, LoraConfig};
use eurus_train::{
    Error, Event, NotFinitePolicy, PreferenceTrainer, ReferenceLogProbs, RewardTrainer, SftTrainer,
    Snapshots, TrainingConfig,
};
use pref_losses::{
    BcoConfig, DpoConfig, PreferenceLossConfig, RewardLossConfig, UltraInteractRewardConfig,
};
use test_support::in_own_process;

const STEPS: usize = 6;

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-2,
        weight_decay: 0.1,
        trees_per_step: 2,
        epochs: 2,
        ..TrainingConfig::default()
    }
}

/// Something done to a snapshot.
type Damage<'a> = &'a dyn Fn(&Path);

/// Weights and events of a run.
type Outcome = (Vec<f32>, Vec<Event>);

/// Steps and warnings, without the time that they took.
fn without_time(event: &Event) -> Option<serde_json::Value> {
    event.progress()?;
    let mut value = serde_json::to_value(event).ok()?;
    value.as_object_mut()?.remove("seconds");
    Some(value)
}

fn steps(events: &[Event]) -> Vec<serde_json::Value> {
    events.iter().filter_map(without_time).collect()
}

fn sft(snapshots: Option<Snapshots>, settings: TrainingConfig) -> Result<Outcome, Error> {
    let examples = imitated(6);
    let mut events = Vec::new();
    let trained = SftTrainer::new(settings)?
        .with_snapshots(snapshots)?
        .train(model(2), &examples, &mut |event| events.push(event.clone()))?;
    Ok((weights(&trained), events))
}

/// With a loss that remembers earlier steps, and adapters that drop inputs.
fn bco_with_adapters(
    snapshots: Option<Snapshots>,
    settings: TrainingConfig,
) -> Result<Outcome, Error> {
    let trees = trees(6);
    let adapters = LoraConfig::new(2).with_dropout(0.3);
    let policy = model(2).with_adapters(&adapters, 4).expect("they fit");
    let reference = policy.without_adapters();
    let reference = ReferenceLogProbs::compute(&reference, &trees, &settings, &mut |_| {})?;
    let loss = PreferenceLossConfig::Bco(BcoConfig::default());
    let mut events = Vec::new();
    let trained = PreferenceTrainer::new(settings, &loss)?
        .with_snapshots(snapshots)?
        .train(policy, &trees, &reference, &mut |event| {
            events.push(event.clone());
        })?;
    Ok((weights(&trained), events))
}

fn reward(snapshots: Option<Snapshots>, settings: TrainingConfig) -> Result<Outcome, Error> {
    let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let mut events = Vec::new();
    let trained = RewardTrainer::new(settings, &loss)?
        .with_snapshots(snapshots)?
        .train(
            RewardModel::from_decoder(model(2)),
            &trees(6),
            &mut |event| {
                events.push(event.clone());
            },
        )?;
    Ok((weights(&trained), events))
}

/// As if the run had been killed after this step and before the next snapshot.
fn forget_after(folder: &Path, step: usize) {
    for later in step + 1..=STEPS {
        fs::remove_dir_all(snapshot(folder, later)).expect("every step has a snapshot");
    }
}

fn snapshot(folder: &Path, step: usize) -> PathBuf {
    folder.join(format!("step-{step:08}"))
}

fn every_step(folder: &Path) -> Snapshots {
    Snapshots::new(folder).with_every_steps(1).with_keep(STEPS)
}

/// Dropout draws from the device's generator, of which a process has one.
#[test]
fn a_run_that_goes_on_is_the_uninterrupted_run_bit_for_bit() {
    in_own_process(|| {
        for train in [sft, bco_with_adapters, reward] {
            let (uninterrupted, all_events) = train(None, settings()).expect("it trains");
            assert_eq!(steps(&all_events).len(), STEPS);
            for killed_after in 0..=STEPS {
                let folder = tempfile::tempdir().expect("a folder");
                let (saved, _) =
                    train(Some(every_step(folder.path())), settings()).expect("it trains");
                assert_eq!(saved, uninterrupted, "saving changes nothing");
                forget_after(folder.path(), killed_after);
                let snapshots = every_step(folder.path()).with_resume(true);
                let (resumed, events) = train(Some(snapshots), settings()).expect("it goes on");
                assert_eq!(resumed, uninterrupted, "killed after step {killed_after}");
                assert_eq!(steps(&events), steps(&all_events)[killed_after..]);
            }
        }
    });
}

#[test]
fn a_damaged_snapshot_is_named_and_the_one_before_it_taken() {
    let (uninterrupted, _) = sft(None, settings()).expect("it trains");
    let flip = |path: PathBuf| {
        let mut bytes = fs::read(&path).expect("it was written");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("it can be changed");
    };
    let damages: [(&str, Damage<'_>); 6] = [
        ("weights.safetensors", &|it| {
            flip(it.join("weights.safetensors"))
        }),
        ("moments.safetensors", &|it| {
            flip(it.join("moments.safetensors"))
        }),
        ("state.json", &|it| flip(it.join("state.json"))),
        ("manifest.json", &|it| {
            fs::remove_file(it.join("manifest.json")).expect("it is there")
        }),
        ("manifest.json", &|it| {
            fs::write(it.join("manifest.json"), "{").expect("it is there")
        }),
        ("moments.safetensors", &|it| {
            fs::remove_file(it.join("moments.safetensors")).expect("it is there");
        }),
    ];
    for (file, damage) in damages {
        let folder = tempfile::tempdir().expect("a folder");
        sft(Some(every_step(folder.path())), settings()).expect("it trains");
        forget_after(folder.path(), 4);
        damage(&snapshot(folder.path(), 4));
        let snapshots = every_step(folder.path()).with_resume(true);
        let (resumed, events) = sft(Some(snapshots), settings()).expect("it goes on");
        assert_eq!(resumed, uninterrupted);
        assert!(
            matches!(&events[0], Event::DamagedSnapshot { path, problem }
                if *path == snapshot(folder.path(), 4) && problem.contains(file)),
            "{:?}",
            events[0]
        );
        assert!(
            matches!(events[1], Event::Resumed { step: 3, .. }),
            "{:?}",
            events[1]
        );
    }
}

#[test]
fn a_run_does_not_go_on_with_another_reference() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = trees(6);
    let run = |reference_seed, snapshots: Snapshots| {
        let reference = model(reference_seed);
        let reference = ReferenceLogProbs::compute(&reference, &data, &settings(), &mut |_| {})?;
        let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
        PreferenceTrainer::new(settings(), &loss)?
            .with_other_reference(true)
            .with_snapshots(Some(snapshots))?
            .train(model(1), &data, &reference, &mut |_| {})
    };
    run(2, every_step(folder.path())).expect("it trains");
    let resumed = || every_step(folder.path()).with_resume(true);
    let error = run(3, resumed())
        .map(|_| ())
        .expect_err("another reference");
    assert!(
        error.to_string().contains("the reference is another"),
        "{error}"
    );
    run(2, resumed()).expect("the same reference");
}

#[test]
fn a_snapshot_of_another_run_is_refused_with_the_difference() {
    let folder = tempfile::tempdir().expect("a folder");
    sft(Some(every_step(folder.path())), settings()).expect("it trains");
    let again = |settings, resume| {
        let snapshots = every_step(folder.path()).with_resume(resume);
        sft(Some(snapshots), settings)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let error = again(settings(), false).expect_err("it would mix two runs");
    assert!(error.contains("after step 6"), "{error}");

    let other = TrainingConfig {
        learning_rate: 2e-2,
        ..settings()
    };
    let error = again(other, true).expect_err("another learning rate");
    assert!(
        error.contains("learning_rate was 0.01 and is 0.02"),
        "{error}"
    );

    let error = reward(
        Some(every_step(folder.path()).with_resume(true)),
        settings(),
    )
    .map(|_| ())
    .expect_err("another objective");
    assert!(error.to_string().contains("objective"), "{error}");
}

#[test]
fn only_the_newest_snapshots_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = Snapshots::new(folder.path())
        .with_every_steps(2)
        .with_keep(2);
    let (_, events) = sft(Some(snapshots), settings()).expect("it trains");
    let saved: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::Saved { step, .. } => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(saved, [2, 4, 6]);
    let mut kept: Vec<PathBuf> = fs::read_dir(folder.path())
        .expect("it is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    kept.sort();
    assert_eq!(
        kept,
        [snapshot(folder.path(), 4), snapshot(folder.path(), 6)]
    );
}

#[test]
fn a_run_goes_on_with_another_policy_for_numbers_and_another_use_of_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, _) = sft(Some(every_step(folder.path())), settings()).expect("it trains");
    forget_after(folder.path(), 3);
    let other = TrainingConfig {
        on_not_finite: NotFinitePolicy::Skip,
        recompute_activations: true,
        ..settings()
    };
    let again = every_step(folder.path()).with_resume(true);
    let (weights, events) = sft(Some(again), other).expect("it goes on");
    assert!(matches!(events[0], Event::Resumed { step: 3, .. }));
    assert_eq!(weights, whole);
}
