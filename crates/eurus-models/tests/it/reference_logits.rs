//! Checkpoints as transformers saves them, against the logits that it computes: `fixtures/make.py` wrote both.

use std::path::Path;

use burn::tensor::Device;
use eurus_models::lora::{Adapted, AdapterFolder};
use eurus_models::{
    Checkpoint, Decoder, ForestBatch, ForestBody, ForestModel, ForestRewardModel, RewardProjection,
    int_tensor, ops,
};
use serde::Deserialize;
use token_forest::{PackedForest, TokenTree};

/// Both sides compute in f32.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<u32>,
    #[serde(default)]
    logits: Vec<Vec<f64>>,
    reward: Option<f64>,
    auxiliary_loss: Option<f64>,
}

fn fixture(name: &str) -> (Checkpoint, Expected, ForestBatch) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let text = std::fs::read_to_string(folder.join("expected.json")).expect("a fixture");
    let expected: Expected = serde_json::from_str(&text).expect("a fixture");
    let tree = TokenTree::new(expected.tokens.clone(), false);
    let forest = PackedForest::from_trees([&tree]).expect("a whole tree");
    let batch = ForestBatch::new(forest, &Device::flex());
    (Checkpoint::new(folder), expected, batch)
}

fn check_language_model(name: &str) {
    let (checkpoint, expected, batch) = fixture(name);
    let (model, _) = checkpoint.decoder(&Device::flex()).expect("it loads");
    compare(name, &model, &expected, &batch);
}

fn compare(name: &str, model: &Decoder, expected: &Expected, batch: &ForestBatch) {
    let (hidden, auxiliary) = model.hidden_states_and_auxiliary_loss(batch);
    let logits = ops::project(hidden, model.output_weight()).into_data();
    let wanted = expected.logits.iter().flatten();
    assert_eq!(
        logits.num_elements(),
        expected.logits.len() * expected.logits[0].len()
    );
    for (index, (got, wanted)) in logits.iter::<f64>().zip(wanted).enumerate() {
        assert!(
            (got - wanted).abs() < TOLERANCE,
            "{name}, logit {index}: {got}, not {wanted}"
        );
    }
    let auxiliary = auxiliary.map(|loss| loss.into_scalar::<f64>());
    assert_eq!(auxiliary.is_some(), expected.auxiliary_loss.is_some());
    if let (Some(got), Some(wanted)) = (auxiliary, expected.auxiliary_loss) {
        assert!(
            (got - wanted).abs() < TOLERANCE,
            "{name}: auxiliary loss {got}, not {wanted}"
        );
    }
}

#[test]
fn biases_of_all_linear_layers_are_added() {
    check_language_model("llama_biases");
}

#[test]
fn qwen2_has_biases_of_queries_keys_and_values() {
    check_language_model("qwen2");
}

#[test]
fn qwen2_slides_in_its_last_layers_only() {
    check_language_model("qwen2_window");
}

#[test]
fn qwen3_norms_every_head() {
    check_language_model("qwen3");
}

#[test]
fn mixtral_mixes_experts_and_balances_their_load() {
    check_language_model("mixtral_window");
}

#[test]
fn a_sequence_classifier_is_a_reward_model() {
    let (checkpoint, expected, batch) = fixture("llama_classifier");
    let (model, _) = checkpoint.reward_model(&Device::flex()).expect("it loads");
    assert!(matches!(model.head, RewardProjection::Score(_)));
    let last = int_tensor(&[expected.tokens.len() as u32 - 1], &Device::flex());
    let reward: f64 = model.rewards(&batch, last).into_scalar();
    let wanted = expected.reward.expect("a classifier has a reward");
    assert!(
        (reward - wanted).abs() < TOLERANCE,
        "{reward}, not {wanted}"
    );
}

#[test]
fn an_adapter_that_peft_saved_gives_the_logits_that_peft_computed() {
    let (folder, expected, batch) = fixture("qwen2_adapter");
    let (base, ..) = fixture("qwen2");
    let (base, _) = base.decoder(&Device::flex()).expect("it loads");
    let (adapted, config) = AdapterFolder::new(folder.folder())
        .load(base, &Device::flex())
        .expect("it fits");
    assert_eq!((config.rank, config.targets.len()), (3, 2));
    compare("with adapter", &adapted, &expected, &batch);
    compare("merged", &adapted.merged(), &expected, &batch);
}
