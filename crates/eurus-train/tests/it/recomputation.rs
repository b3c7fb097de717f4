//! Computing activations again changes the memory of a step and nothing else.

use crate::common::{imitated, model, proportional_steps, same_but_for_rounding, trees, weights};
use burn::tensor::{Device, Tensor};
use eurus_models::lora::{Adapted, LoraConfig};
use eurus_models::{Architecture, MixtureOfExperts};
use eurus_models::{Decoder, DecoderConfig, ForestBatch, ForestBody, ForestModel, RewardModel};
use eurus_train::{
    Error, Event, PreferenceTrainer, ReferenceLogProbs, RewardTrainer, SftTrainer, StepProgress,
    TrainingConfig,
};
use pref_losses::{DpoConfig, PreferenceLossConfig, RewardLossConfig, UltraInteractRewardConfig};

fn settings(recompute_activations: bool) -> TrainingConfig {
    proportional_steps(TrainingConfig {
        trees_per_step: 3,
        epochs: 2,
        recompute_activations,
        ..TrainingConfig::default()
    })
}

/// Numbers of all steps that do not depend on time.
type Numbers = Vec<(f64, f64, Option<f64>)>;

fn numbers(progress: &StepProgress) -> (f64, f64, Option<f64>) {
    (progress.loss, progress.grad_norm, progress.auxiliary_loss)
}

/// Runs a training with and without, and compares all steps and the weights.
fn assert_same(train: impl Fn(TrainingConfig, &mut dyn FnMut(&Event)) -> Vec<f32>) {
    let run = |recompute| {
        let mut steps = Numbers::new();
        let weights = train(settings(recompute), &mut |event| {
            steps.extend(event.progress().map(numbers));
        });
        (steps, weights)
    };
    let (kept, recomputed) = (run(false), run(true));
    assert_eq!(kept.0.len(), 4);
    assert!((kept.0[0].0 - kept.0[3].0).abs() > 1e-3, "it has learned");
    for (step, (a, b)) in kept.0.iter().zip(&recomputed.0).enumerate() {
        for (a, b) in [
            (a.0, b.0),
            (a.1, b.1),
            (a.2.unwrap_or(0.0), b.2.unwrap_or(0.0)),
        ] {
            assert!(
                same_but_for_rounding(a, b),
                "step {step}: {a} kept, {b} recomputed"
            );
        }
    }
    for (a, b) in kept.1.iter().zip(&recomputed.1) {
        assert!(
            same_but_for_rounding(f64::from(*a), f64::from(*b)),
            "weight {a} kept, {b} recomputed"
        );
    }
}

fn dpo(policy: &Decoder, settings: TrainingConfig, on_event: &mut dyn FnMut(&Event)) -> Vec<f32> {
    let trees = trees(6);
    let base = policy.without_adapters();
    let reference = ReferenceLogProbs::compute(&base, &trees, &settings, &mut |_| {})
        .expect("reference log-probs");
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let trained = PreferenceTrainer::new(settings, &loss)
        .expect("good settings")
        .train(policy.clone(), &trees, &reference, on_event)
        .expect("it trains");
    weights(&trained)
}

fn mixtral() -> Decoder {
    let mut config = DecoderConfig::llama(32, 24, 3, 4);
    config.architecture = Architecture::Mixtral;
    config.tie_word_embeddings = false;
    config.initializer_range = 0.2;
    config.mixture = Some(MixtureOfExperts {
        experts: 4,
        experts_per_token: 2,
        auxiliary_loss_coefficient: 0.5,
    });
    Decoder::init(&config, 5, &Device::flex())
}

#[test]
fn fine_tuning_is_the_same_with_recomputation() {
    assert_same(|settings, on_event| {
        let trainer = SftTrainer::new(settings).expect("good settings");
        let trained = trainer.train(model(3), &imitated(6), on_event);
        weights(&trained.expect("it trains"))
    });
}

#[test]
fn preference_learning_is_the_same_with_recomputation() {
    assert_same(|settings, on_event| dpo(&model(3), settings, on_event));
}

#[test]
fn experts_and_the_balance_of_their_load_are_the_same_with_recomputation() {
    assert_same(|settings, on_event| dpo(&mixtral(), settings, on_event));
}

#[test]
fn adapters_are_the_same_with_recomputation() {
    let policy = model(3)
        .with_adapters(&LoraConfig::new(4), 1)
        .expect("a decoder takes adapters");
    assert_same(|settings, on_event| dpo(&policy, settings, on_event));
}

#[test]
fn reward_models_are_the_same_with_recomputation() {
    assert_same(|settings, on_event| {
        let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
        let trained = RewardTrainer::new(settings, &loss)
            .expect("good settings")
            .train(RewardModel::from_decoder(model(3)), &trees(6), on_event)
            .expect("it trains");
        weights(&trained)
    });
}

#[test]
fn adapters_that_drop_at_random_refuse_recomputation() {
    let policy = model(3)
        .with_adapters(&LoraConfig::new(4).with_dropout(0.1), 1)
        .expect("a decoder takes adapters");
    let trainer = SftTrainer::new(settings(true)).expect("good settings");
    let refused = trainer.train(policy, &imitated(2), &mut |_| {});
    let message = refused.expect_err("dropout").to_string();
    assert!(
        message.contains("recompute_activations") && message.contains("dropout"),
        "{message}"
    );
}

/// A model that runs in one piece only.
#[derive(burn::module::Module, Debug)]
struct Whole {
    decoder: Decoder,
}

impl ForestBody for Whole {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        self.decoder.hidden_states(batch)
    }

    fn vocab_size(&self) -> usize {
        self.decoder.vocab_size()
    }
}

impl ForestModel for Whole {
    fn output_weight(&self) -> Tensor<2> {
        self.decoder.output_weight()
    }
}

#[test]
fn a_model_without_blocks_refuses_recomputation_and_trains_without() {
    let whole = || Whole { decoder: model(3) };
    let train = |recompute| {
        let trainer = SftTrainer::new(settings(recompute)).expect("good settings");
        trainer.train(whole(), &imitated(2), &mut |_| {})
    };
    assert!(matches!(
        train(true),
        Err(Error::Config {
            field: "recompute_activations",
            ..
        })
    ));
    assert!(train(false).is_ok());
}
