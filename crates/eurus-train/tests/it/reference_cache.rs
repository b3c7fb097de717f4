//! Reference log-probs in a file are those of the model, and of no other.

use std::fs;
use std::path::Path;

use crate::common::{model, trees};
use eurus_train::{
    Error, Event, PreferenceTrainer, ReferenceCache, ReferenceKey, ReferenceLogProbs,
    TrainingConfig,
};
use pref_losses::{DpoConfig, PreferenceLossConfig};
use proptest::prelude::*;
use token_forest::{TrainingTree, add_mismatched};

const TOKENIZER: &str = "a tokenizer and its chat template";

fn settings() -> TrainingConfig {
    TrainingConfig {
        token_budget: 64,
        trees_per_step: 4,
        learning_rate: 1e-3,
        ..TrainingConfig::default()
    }
}

fn data() -> Vec<TrainingTree> {
    let mut trees = trees(150);
    add_mismatched(&mut trees, 3).expect("more than one tree");
    trees
}

fn key(seed: u64) -> ReferenceKey {
    ReferenceKey::new(&model(seed), TOKENIZER)
}

fn cached(path: &Path, trees: &[TrainingTree]) -> Result<ReferenceLogProbs, Error> {
    let cache = ReferenceCache::new(path, key(1));
    trainer("dpo").reference(&model(1), trees, Some(&cache), &mut |_| {})
}

fn trainer(loss: &str) -> PreferenceTrainer {
    let loss = serde_json::json!({ "type": loss });
    let loss: PreferenceLossConfig = serde_json::from_value(loss).expect("a loss");
    PreferenceTrainer::new(settings(), &loss).expect("good settings")
}

fn live(trees: &[TrainingTree]) -> ReferenceLogProbs {
    ReferenceLogProbs::compute(&model(1), trees, &settings(), &mut |_| {}).expect("log-probs")
}

#[test]
fn what_is_read_from_the_file_is_what_was_computed_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sub").join("reference.jsonl");
    let data = data();
    let live = live(&data);
    assert_eq!(cached(&path, &data).expect("a fresh file"), live);
    let written = fs::read(&path).expect("the file");
    assert_eq!(cached(&path, &data).expect("a whole file"), live);
    assert_eq!(fs::read(&path).expect("the file"), written);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_file_that_ends_anywhere_is_completed_to_the_same_numbers(share in 0.0..1.0f64) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("reference.jsonl");
        let data = data();
        let whole = cached(&path, &data).expect("a fresh file");
        let written = fs::read(&path).expect("the file");
        let end = (share * written.len() as f64) as usize;
        fs::write(&path, &written[..end]).expect("a file cut off");
        prop_assert_eq!(cached(&path, &data).expect("a file cut off"), whole);
        prop_assert_eq!(fs::read(&path).expect("the file"), written);
    }
}

#[test]
fn a_part_of_the_data_is_not_computed_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.jsonl");
    let data = data();
    cached(&path, &data[..100]).expect("a fresh file");
    let before = fs::read(&path).expect("the file");
    let all = cached(&path, &data).expect("a file of a part");
    let after = fs::read(&path).expect("the file");
    assert!(after.starts_with(&before));
    let added = String::from_utf8_lossy(&after[before.len()..])
        .matches("\"tree\"")
        .count();
    assert_eq!(added, 50);
    // Other trees shared the forests, so the last bits may differ, no more.
    let (cached, live) = (format!("{all:?}"), format!("{:?}", live(&data)));
    assert_eq!(cached.len() / 100, live.len() / 100);
}

#[test]
fn training_from_the_file_is_training_from_live_log_probs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.jsonl");
    let data = data();
    cached(&path, &data).expect("a fresh file");
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let losses = |reference: &ReferenceLogProbs| {
        let mut losses = Vec::new();
        let trainer = PreferenceTrainer::new(settings(), &loss).expect("good settings");
        let trained = trainer.train(model(1), &data, reference, &mut |event| {
            if let Event::Preference { progress, .. } = event {
                losses.push(progress.loss);
            }
        });
        trained.expect("it trains");
        losses
    };
    assert_eq!(
        losses(&cached(&path, &data).expect("a whole file")),
        losses(&live(&data))
    );
}

#[test]
fn a_file_of_something_else_is_refused_with_the_reason_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.jsonl");
    let data = data();
    cached(&path, &data).expect("a fresh file");
    let written = fs::read(&path).expect("the file");
    let refused = |key: ReferenceKey| {
        let cache = ReferenceCache::new(&path, key);
        let result = trainer("dpo").reference(&model(2), &data, Some(&cache), &mut |_| {});
        let message = result.expect_err("a stale file").to_string();
        assert!(message.contains("reference.jsonl"), "{message}");
        assert_eq!(fs::read(&path).expect("the file"), written);
        message
    };
    assert!(refused(key(2)).contains("other weights"));
    let message = refused(key(1).with_config("another base of rotary embeddings"));
    assert!(message.contains("another configuration"), "{message}");
    let message = refused(ReferenceKey::new(&model(1), "another template"));
    assert!(
        message.contains("tokenizer or its chat template"),
        "{message}"
    );

    fs::write(&path, "{\"event\":\"sft\"}\n").expect("another file");
    let error = cached(&path, &data).expect_err("no cache");
    assert!(matches!(error, Error::StaleCache { .. }), "{error}");
}

#[test]
fn another_reference_than_the_policy_is_refused_unless_it_is_allowed() {
    let data = data();
    let reference = live(&data);
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let trainer = PreferenceTrainer::new(settings(), &loss).expect("good settings");
    let train = |trainer: &PreferenceTrainer| {
        let mut first = None;
        let trained = trainer.train(model(2), &data, &reference, &mut |event| {
            first = first.or(event.progress().map(|progress| progress.loss));
        });
        trained.map(|_| first)
    };
    assert!(matches!(train(&trainer), Err(Error::OtherReference { .. })));
    let first = train(&trainer.with_other_reference(true)).expect("it is allowed");
    assert!((first.expect("a step") - std::f64::consts::LN_2).abs() > 1e-4);
}

#[test]
fn a_file_of_whole_responses_is_completed_by_their_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.jsonl");
    let data = &data()[..20];
    let whole = cached(&path, data).expect("a fresh file");
    for loss in ["ld_dpo", "dmpo"] {
        let trainer = trainer(loss);
        let compute = |cache: Option<&ReferenceCache>| {
            let reference = trainer.reference(&model(1), data, cache, &mut |_| {});
            reference.expect("a reference")
        };
        let error = trainer.train(model(1), data, &whole, &mut |_| {});
        let error = error.expect_err("whole responses alone");
        assert!(matches!(error, Error::ReferenceOfWholeResponses));
        let cache = ReferenceCache::new(&path, key(1));
        let live = compute(None);
        assert_eq!(compute(Some(&cache)), live, "{loss}: computed again");
        let written = fs::read(&path).expect("the file");
        assert_eq!(compute(Some(&cache)), live, "{loss}: read back");
        assert_eq!(fs::read(&path).expect("the file"), written);
    }
}
