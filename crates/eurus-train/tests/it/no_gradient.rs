//! A step from which nothing is learned ends the run with its cause, unless its loss is at its least.

use burn::module::Module;
use burn::tensor::Tensor;
use eurus_models::Decoder;
use eurus_train::{Error, PreferenceTrainer, ReferenceLogProbs, SftTrainer, TrainingConfig};
use pref_losses::{
    Error as LossError, HingeConfig, Needs, PairContext, PairLogProbs, PairLoss, PairOutput,
    PreferenceLoss, PreferenceLossConfig,
};

use crate::common::{imitated, model, trees};

/// A loss that looks at nothing, `[pairs]` of one value.
#[derive(Debug)]
struct Constant(f64);

impl PairLoss for Constant {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn forward(&self, pairs: PairLogProbs, _: &PairContext) -> Result<PairOutput, LossError> {
        let losses: Tensor<1> = pairs.policy_chosen.clone() * 0.0 + self.0;
        Ok(PairOutput {
            losses,
            chosen_rewards: pairs.policy_chosen.detach(),
            rejected_rewards: pairs.policy_rejected.detach(),
        })
    }
}

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-2,
        trees_per_step: 2,
        ..TrainingConfig::default()
    }
}

fn assert_ends(trained: Result<Decoder, Error>, says: &str) {
    match trained.map(|_| ()) {
        Err(error @ Error::NoGradient { step: 1, .. }) => {
            let message = error.to_string();
            for words in ["step 1: all gradients are zero", says, "tree-"] {
                assert!(message.contains(words), "{message}");
            }
        }
        other => panic!("{other:?}"),
    }
}

fn with_loss(value: f64) -> Result<Decoder, Error> {
    let trees = trees(4);
    PreferenceTrainer::with_loss(settings(), PreferenceLoss::new(Constant(value)), "constant")?
        .train(
            model(1),
            &trees,
            &ReferenceLogProbs::absent(&trees),
            &mut |_| {},
        )
}

#[test]
fn a_loss_of_zero_that_nothing_has_been_learned_from_is_named() {
    assert_ends(with_loss(0.0), "the loss is 0 for every example");
}

#[test]
fn a_loss_that_no_parameter_changes_is_named_with_its_value() {
    assert_ends(with_loss(0.5), "the loss is 0.5 and none of the");
}

#[test]
fn a_model_whose_parameters_are_all_frozen_is_named() {
    let trainer = SftTrainer::new(settings()).expect("good settings");
    let trained = trainer.train(model(1).no_grad(), &imitated(4), &mut |_| {});
    assert_ends(trained, "the loss reaches no parameter that is trained");
}

#[test]
fn a_hinge_that_all_pairs_of_a_step_have_passed_is_no_fault() {
    let trees = trees(4);
    let policy = model(1);
    let settings = TrainingConfig {
        learning_rate: 5e-2,
        epochs: 30,
        ..settings()
    };
    let hinge = PreferenceLossConfig::Hinge(HingeConfig::default());
    let trainer = PreferenceTrainer::new(settings, &hinge).expect("good settings");
    let reference = trainer
        .reference(&policy, &trees, None, &mut |_| {})
        .expect("log-probs");
    let mut steps = Vec::new();
    trainer
        .train(policy, &trees, &reference, &mut |event| {
            steps.extend(event.progress().map(|step| (step.loss, step.grad_norm)));
        })
        .expect("a run to its end");
    assert_eq!(steps.len(), 60);
    assert!(steps.contains(&(0.0, 0.0)), "{steps:?}");
}
