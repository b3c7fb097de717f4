//! What makes a run the run that it is: whatever changes its numbers.

use std::fs;
use std::path::Path;

use crate::common::{imitated, model};
use eurus_train::{Error, Event, SftTrainer, Snapshots, TrainingConfig};
use serde_json::json;

fn trainer(settings: TrainingConfig, snapshots: Snapshots) -> SftTrainer {
    let trainer = SftTrainer::new(settings).and_then(|it| it.with_snapshots(Some(snapshots)));
    trainer.expect("good settings")
}

fn snapshots(folder: &Path) -> Snapshots {
    Snapshots::new(folder)
        .with_every_steps(1)
        .with_detail(
            "adapters",
            json!({ "rank": 4, "alpha": 8.0, "dropout": 0.0 }),
        )
        .with_detail("tokenizer", "abc")
}

fn settings() -> TrainingConfig {
    TrainingConfig {
        trees_per_step: 2,
        ..TrainingConfig::default()
    }
}

fn train(settings: TrainingConfig, snapshots: Snapshots, model_seed: u64) -> Result<(), Error> {
    let trainer = trainer(settings, snapshots);
    trainer
        .train(model(model_seed), &imitated(6), &mut |_| {})
        .map(drop)
}

#[test]
fn every_setting_that_differs_is_named_with_both_values() {
    let folder = tempfile::tempdir().expect("a folder");
    train(settings(), snapshots(folder.path()), 1).expect("it trains");
    let other = TrainingConfig {
        beta_2: 0.95,
        seed: 3,
        ..settings()
    };
    let again = snapshots(folder.path())
        .with_detail(
            "adapters",
            json!({ "rank": 4, "alpha": 64.0, "dropout": 0.1 }),
        )
        .with_detail("template_time", 17)
        .with_resume(true);
    let error = train(other, again, 1).expect_err("another run").to_string();
    for difference in [
        "beta_2 was 0.999",
        "seed was 0 and is 3",
        "adapters.alpha was 8.0 and is 64.0",
        "adapters.dropout was 0.0 and is 0.1",
        "template_time was null and is 17",
    ] {
        assert!(error.contains(difference), "`{difference}` in {error}");
    }
    assert!(!error.contains("rank"), "{error}");
}

#[test]
fn another_model_is_another_run() {
    let folder = tempfile::tempdir().expect("a folder");
    train(settings(), snapshots(folder.path()), 1).expect("it trains");
    let again = || snapshots(folder.path()).with_resume(true);
    let error = train(settings(), again(), 2)
        .expect_err("another model")
        .to_string();
    assert!(
        error.contains("the model's weights (SHA-256) was"),
        "{error}"
    );
    train(settings(), again(), 1).expect("the same model");
    // A detail takes its place: then its owner says which models are the same.
    let error = train(settings(), again().with_detail("model", "x"), 1).expect_err("a new detail");
    assert!(
        error.to_string().contains("model was null and is \"x\""),
        "{error}"
    );
}

#[test]
fn a_run_that_cannot_go_on_is_refused_before_its_examples_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    train(settings(), snapshots(folder.path()), 1).expect("it trains");
    let check = |settings, snapshots: Snapshots| {
        let identity = trainer(settings, snapshots.clone()).identity();
        let mut events = Vec::new();
        let found = snapshots.check(&identity, &mut |event| events.push(event.clone()));
        (found.map_err(|error| error.to_string()), events)
    };
    let again = || snapshots(folder.path()).with_resume(true);
    assert_eq!(check(settings(), again()).0, Ok(Some(3)));
    let error = check(settings(), snapshots(folder.path()))
        .0
        .expect_err("not to go on");
    assert!(error.contains("the newest after step 3"), "{error}");
    let other = TrainingConfig {
        learning_rate: 1.0,
        ..settings()
    };
    let error = check(other, again()).0.expect_err("another rate");
    assert!(
        error.contains("learning_rate was 0.00001 and is 1.0"),
        "{error}"
    );

    // With the examples, these are compared too.
    let identity = trainer(settings(), again())
        .identity()
        .of_examples(&imitated(5));
    let error = again()
        .check(&identity, &mut |_| {})
        .expect_err("other examples");
    assert!(error.to_string().contains("the examples"), "{error}");

    // Every byte is read: one that is wrong is found now.
    let weights = folder.path().join("step-00000003/weights.safetensors");
    let mut bytes = fs::read(&weights).expect("it was saved");
    bytes[1000] ^= 1;
    fs::write(&weights, bytes).expect("damage");
    let (found, events) = check(settings(), again());
    assert_eq!(found, Ok(Some(2)));
    assert!(
        matches!(&events[..], [Event::DamagedSnapshot { problem, .. }] if problem.contains("weights.safetensors")),
        "{events:?}"
    );
}

#[test]
fn the_newest_snapshot_tells_the_details_of_its_run() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(
        snapshots(folder.path())
            .newest()
            .expect("no folder")
            .is_none()
    );
    train(settings(), snapshots(folder.path()), 1).expect("it trains");
    let (step, run) = snapshots(folder.path())
        .newest()
        .expect("a folder")
        .expect("one");
    assert_eq!((step, run.detail("tokenizer")), (3, Some(&json!("abc"))));
}

#[test]
fn snapshots_of_another_version_are_refused_and_not_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    train(settings(), snapshots(folder.path()), 1).expect("it trains");
    for step in 2..=3 {
        let snapshot = folder.path().join(format!("step-{step:08}"));
        let (state, manifest) = (snapshot.join("state.json"), snapshot.join("manifest.json"));
        let old = fs::read_to_string(&state).unwrap_or_default();
        fs::write(&state, old.replace("\"version\": 3", "\"version\": 2")).expect("a file");
        let digest = |path: &Path| {
            use sha2::Digest;
            let bytes = fs::read(path).expect("a file");
            sha2::Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let mut files: serde_json::Value =
            serde_json::from_slice(&fs::read(&manifest).expect("a file")).expect("JSON");
        files["files"]["state.json"] = json!(digest(&state));
        fs::write(&manifest, files.to_string()).expect("a file");
    }
    let again = snapshots(folder.path()).with_resume(true);
    let error = train(settings(), again, 1)
        .expect_err("an old snapshot")
        .to_string();
    assert!(
        error.contains("it has version 2, and this program reads version 3"),
        "{error}"
    );
}
