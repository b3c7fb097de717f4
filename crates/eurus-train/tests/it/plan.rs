//! A plan has the tokens and forests that the trainers report.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{imitated, model, trees};
use burn::tensor::Tensor;
use eurus_models::{Decoder, ForestBatch, ForestBody, ForestModel, RewardModel};
use eurus_train::plan::{self, PlannedStep};
use eurus_train::{
    Error, Event, PreferenceTrainer, ReferenceLogProbs, RewardTrainer, SftTrainer, StepProgress,
    TrainingConfig,
};
use pref_losses::{BradleyTerryConfig, KtoConfig, PreferenceLossConfig, RewardLossConfig};
use token_forest::add_mismatched;

/// Steps of several trees whose pairs do not all fit in one forest.
fn settings() -> TrainingConfig {
    TrainingConfig {
        trees_per_step: 4,
        token_budget: 25,
        epochs: 2,
        ..TrainingConfig::default()
    }
}

/// Unique tokens, naive tokens and utilization of every step.
fn of_plan(
    steps: impl Iterator<Item = eurus_train::Result<PlannedStep>>,
) -> Vec<(usize, usize, f64)> {
    steps
        .map(|step| {
            let step = step.expect("trees that fit");
            let room = (step.forests.len() * settings().token_budget) as f64;
            let unique = step.unique_tokens();
            (unique, step.naive_tokens, unique as f64 / room)
        })
        .collect()
}

fn of_run(train: impl FnOnce(&mut dyn FnMut(&Event))) -> Vec<(usize, usize, f64)> {
    let mut steps: Vec<StepProgress> = Vec::new();
    train(&mut |event| steps.extend(event.progress().cloned()));
    steps
        .iter()
        .map(|step| (step.unique_tokens, step.naive_tokens, step.utilization))
        .collect()
}

#[test]
fn the_steps_of_fine_tuning_are_those_planned() {
    let trees = imitated(6);
    let settings = settings();
    let planned = of_plan(plan::steps(&trees, &settings).expect("trees"));
    let run = of_run(|on_event| {
        let trainer = SftTrainer::new(settings.clone()).expect("valid settings");
        trainer.train(model(5), &trees, on_event).expect("training");
    });
    assert_eq!(planned.len(), 4);
    assert_eq!(planned, run);
}

#[test]
fn the_steps_of_preference_learning_and_reward_models_are_those_planned() {
    let mut trees = trees(6);
    add_mismatched(&mut trees, 1).expect("several trees");
    let settings = settings();
    let planned = of_plan(plan::steps(&trees, &settings).expect("trees"));
    let preference = of_run(|on_event| {
        let policy = model(5);
        let reference = ReferenceLogProbs::compute(&policy, &trees, &settings, &mut |_| {});
        let loss = PreferenceLossConfig::Kto(KtoConfig::default());
        PreferenceTrainer::new(settings.clone(), &loss)
            .expect("valid settings")
            .train(policy, &trees, &reference.expect("a reference"), on_event)
            .expect("training");
    });
    let reward = of_run(|on_event| {
        let loss = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
        RewardTrainer::new(settings.clone(), &loss)
            .expect("valid settings")
            .train(RewardModel::from_decoder(model(5)), &trees, on_event)
            .expect("training");
    });
    assert_eq!(planned, preference);
    assert_eq!(planned, reward);
}

#[test]
fn mismatched_completions_are_planned_apart_from_what_has_gradients() {
    let settings = settings();
    let without = trees(6);
    let mut with = without.clone();
    add_mismatched(&mut with, 1).expect("several trees");
    let scored = |trees: &[_]| -> usize {
        let steps = plan::steps(trees, &settings).expect("trees");
        let of_step = |step: eurus_train::Result<PlannedStep>| step.expect("fits").mismatched.len();
        steps.map(of_step).sum()
    };
    assert_eq!(scored(&without), 0);
    assert!(scored(&with) > 0);
    let planned = |trees: &[_]| of_plan(plan::steps(trees, &settings).expect("trees"));
    assert_eq!(planned(&without), planned(&with));
}

#[test]
fn steps_of_whole_forests_have_as_many_and_are_those_of_the_run() {
    let mut trees = trees(30);
    let of_a_tree = trees[0].tree().unique_tokens();
    add_mismatched(&mut trees, 1).expect("several trees");
    let settings = TrainingConfig {
        forests_per_step: Some(2),
        token_budget: 2 * of_a_tree + 1,
        ..settings()
    };
    let steps = plan::steps(&trees, &settings).expect("trees");
    let steps: Vec<PlannedStep> = steps.map(|step| step.expect("fits")).collect();
    let forests: Vec<usize> = steps.iter().map(|step| step.forests.len()).collect();
    assert_eq!(forests, [2, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 2, 1]);
    let planned: Vec<usize> = steps.iter().map(PlannedStep::unique_tokens).collect();
    let run = of_run(|on_event| {
        let loss = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
        RewardTrainer::new(settings.clone(), &loss)
            .expect("valid settings")
            .train(RewardModel::from_decoder(model(5)), &trees, on_event)
            .expect("training");
    });
    let run: Vec<usize> = run.into_iter().map(|(unique, ..)| unique).collect();
    assert_eq!(planned, run);
}

/// A model that counts the tokens it is given.
#[derive(burn::module::Module, Debug)]
struct Counting {
    decoder: Decoder,
    #[module(skip)]
    tokens: Arc<AtomicUsize>,
}

impl ForestBody for Counting {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        self.tokens.fetch_add(batch.forest.len(), Ordering::Relaxed);
        self.decoder.hidden_states(batch)
    }

    fn vocab_size(&self) -> usize {
        self.decoder.vocab_size()
    }
}

impl ForestModel for Counting {
    fn output_weight(&self) -> Tensor<2> {
        self.decoder.output_weight()
    }
}

#[test]
fn the_reference_is_asked_for_the_tokens_that_are_planned() {
    let settings = settings();
    // More than are computed together.
    let pairs_alone = trees(70);
    let mut with_mismatched = pairs_alone.clone();
    add_mismatched(&mut with_mismatched, 1).expect("several trees");
    let of = |trees: &[_]| {
        let forests = plan::reference_forests(trees, &settings).expect("trees");
        let planned: usize = forests.map(|forest| forest.expect("it fits").len()).sum();
        let tokens = Arc::new(AtomicUsize::new(0));
        let model = Counting {
            decoder: model(5),
            tokens: tokens.clone(),
        };
        ReferenceLogProbs::compute(&model, trees, &settings, &mut |_| {}).expect("a reference");
        assert_eq!(planned, tokens.load(Ordering::Relaxed));
        planned
    };
    assert!(of(&pairs_alone) < of(&with_mismatched));
}

#[test]
fn a_plan_of_nothing_is_an_error() {
    let settings = settings();
    assert!(matches!(
        plan::steps(&[], &settings).err(),
        Some(Error::NoData { what: "trees" })
    ));
    assert!(plan::reference_forests(&[], &settings).is_err());
}
