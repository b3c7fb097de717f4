//! Models of which a part is trained, and models with a loss of their own.

use crate::common::{model, trees};
use burn::tensor::Device;
use eurus_models::lora::{Adapted, LoraConfig};
use eurus_models::{Architecture, MixtureOfExperts};
use eurus_models::{Decoder, DecoderConfig};
use eurus_train::{
    Event, Precision, PreferenceTrainer, ReferenceLogProbs, SftTrainer, StepProgress,
    TrainingConfig,
};
use pref_losses::{DpoConfig, PreferenceLossConfig};
use token_forest::TrainingTree;

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-2,
        trees_per_step: 6,
        epochs: 6,
        ..TrainingConfig::default()
    }
}

fn weights(model: &Decoder) -> Vec<f32> {
    let mut values = Vec::new();
    model.clone().for_each_linear(&mut |_, linear| {
        values.extend(linear.weight.val().into_data().iter::<f32>());
    });
    values.extend(
        model
            .model
            .embed_tokens
            .weight
            .val()
            .into_data()
            .iter::<f32>(),
    );
    values
}

fn adapters_learn_alone(precision: Precision) {
    let base = model(2);
    let policy = base
        .clone()
        .with_adapters(&LoraConfig::new(4), 7)
        .expect("it fits");
    let trees = trees(6);
    let settings = TrainingConfig {
        precision,
        ..settings()
    };
    let reference = policy.without_adapters();
    let reference = ReferenceLogProbs::compute(&reference, &trees, &settings, &mut |_| {})
        .expect("reference log-probs");
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let mut losses = Vec::new();
    let trained = PreferenceTrainer::new(settings, &loss)
        .expect("a trainer")
        .train(policy, &trees, &reference, &mut |event| {
            losses.extend(event.progress().map(|progress| progress.loss));
        })
        .expect("it trains");
    assert!(
        (losses[0] - std::f64::consts::LN_2).abs() < 1e-6,
        "{}",
        losses[0]
    );
    assert!(losses[losses.len() - 1] < losses[0] - 0.05, "{losses:?}");
    assert_eq!(weights(&trained), weights(&base), "the base is frozen");
    assert_ne!(weights(&trained.merged()), weights(&base));
}

#[test]
fn adapters_learn_while_the_base_stands_still_and_is_the_reference() {
    adapters_learn_alone(Precision::Full);
}

#[test]
fn adapters_learn_in_mixed_precision_while_the_base_stands_still() {
    adapters_learn_alone(Precision::Bf16);
}

#[test]
fn the_load_of_experts_is_balanced_beside_the_loss() {
    let mut config = DecoderConfig::llama(model(2).model.embed_tokens.weight.dims()[0], 16, 2, 2);
    config.architecture = Architecture::Mixtral;
    config.initializer_range = 0.3;
    let mut run = |coefficient: f64| -> Vec<StepProgress> {
        config.mixture = Some(MixtureOfExperts {
            experts: 4,
            experts_per_token: 2,
            auxiliary_loss_coefficient: coefficient,
        });
        let model = Decoder::init(&config, 3, &Device::flex());
        let trees: Vec<TrainingTree> = trees(6)
            .into_iter()
            .map(|tree| TrainingTree::imitated(tree.id(), tree.tree()).expect("a whole tree"))
            .collect();
        let mut steps = Vec::new();
        SftTrainer::new(settings())
            .expect("a trainer")
            .train(model, &trees, &mut |event: &Event| {
                steps.extend(event.progress().cloned());
            })
            .expect("it trains");
        steps
    };
    let without = run(0.0);
    assert_eq!(without[0].auxiliary_loss, None);
    let with = run(1.0);
    assert_eq!(with[0].loss, without[0].loss, "it is reported apart");
    let auxiliary: Vec<f64> = with.iter().filter_map(|step| step.auxiliary_loss).collect();
    let last = auxiliary[auxiliary.len() - 1];
    assert!(last < auxiliary[0], "{auxiliary:?}");
    assert!(
        last > 1.99,
        "two experts of each token cannot be balanced better than 2"
    );
}
