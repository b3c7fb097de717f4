//! Models of one's own in the trainers: those over rows are trained as any other, and a wrong mask is the model's fault.

use crate::common::{model, trees, weights};
use burn::module::Module;
use burn::tensor::Tensor;
use eurus_models::{Decoder, ForestBatch, ForestBody, ForestModel};
use eurus_train::{PreferenceTrainer, ReferenceLogProbs, TrainingConfig};
use pref_losses::{DpoConfig, PreferenceLossConfig};
use token_forest::{PackedForest, TokenTree};

/// A decoder that takes a packed forest for one sequence.
#[derive(Module, Debug)]
struct Unmasked {
    decoder: Decoder,
}

impl ForestBody for Unmasked {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        let sequence = TokenTree::new(batch.forest.tokens.clone(), false);
        let forest = PackedForest::from_trees([&sequence]).expect("a sequence");
        let device = batch.tokens.device();
        self.decoder
            .hidden_states(&ForestBatch::new(forest, &device))
    }

    fn vocab_size(&self) -> usize {
        self.decoder.vocab_size()
    }
}

impl ForestModel for Unmasked {
    fn output_weight(&self) -> Tensor<2> {
        self.decoder.output_weight()
    }
}

#[test]
fn a_wrong_mask_is_told_of_the_model_and_not_of_the_reference() {
    let data = trees(6);
    let settings = TrainingConfig {
        trees_per_step: 1,
        ..TrainingConfig::default()
    };
    let trained = |own: Decoder, reference: &Decoder| {
        let own = Unmasked { decoder: own };
        let reference = Unmasked {
            decoder: reference.clone(),
        };
        let reference = ReferenceLogProbs::compute(&reference, &data, &settings, &mut |_| {});
        let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
        let trainer = PreferenceTrainer::new(settings.clone(), &loss).expect("good settings");
        trainer.train(own, &data, &reference.expect("log-probs"), &mut |_| {})
    };
    let error = trained(model(1), &model(1))
        .expect_err("a fault")
        .to_string();
    assert!(
        error.starts_with(
            "the model breaks a rule of packed forests: a token does not see other trees"
        ),
        "{error}"
    );
    assert!(!error.contains("reference"), "{error}");
}

#[test]
fn another_reference_is_told_of_the_reference() {
    let data = trees(6);
    let settings = TrainingConfig::default();
    let reference = ReferenceLogProbs::compute(&model(2), &data, &settings, &mut |_| {});
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let trained = PreferenceTrainer::new(settings, &loss)
        .expect("good settings")
        .train(model(1), &data, &reference.expect("log-probs"), &mut |_| {});
    let error = trained
        .map(|it| weights(&it))
        .expect_err("another model")
        .to_string();
    assert!(error.contains("policy and reference differ by"), "{error}");
}
