//! A step whose numbers are not finite is told with the examples and terms that went wrong.

use crate::common;
use crate::common::{model, trees, weights};
use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use eurus_models::{Decoder, ForestModel, RewardModel};
use eurus_train::{
    Error, Event, NotFinite, NotFinitePolicy, PreferenceTrainer, ReferenceLogProbs, RewardTrainer,
    SftTrainer, TrainingConfig,
};
use pref_losses::{DpoConfig, PreferenceLossConfig, RewardLossConfig, UltraInteractRewardConfig};
use token_forest::{TokenTree, TrainingTree};

/// A token that only the poisoned tree has.
const POISON: u32 = 30;

/// A model that has no number for one token.
fn poisoned() -> Decoder {
    let mut model = model(1);
    let weight = model.output_weight();
    let [vocab, width] = weight.dims();
    let mut values: Vec<f32> = weight.clone().into_data().iter().collect();
    values[POISON as usize * width..][..width].fill(f32::NAN);
    let weight = Tensor::from_data(TensorData::new(values, [vocab, width]), &weight.device());
    model.lm_head = None;
    model.model.embed_tokens.weight = Param::from_tensor(weight);
    model
}

/// As [`poisoned`], with an output projection of its own, so that the other tokens keep their log-probs.
fn poisoned_input() -> Decoder {
    let mut config = eurus_models::DecoderConfig::llama(32, 24, 2, 4);
    config.tie_word_embeddings = false;
    config.initializer_range = 0.2;
    let mut model = Decoder::init(&config, 1, &burn::tensor::Device::flex());
    model.model.embed_tokens = poisoned().model.embed_tokens;
    model
}

/// Three trees without the token, then one whose second pair has it.
fn data() -> Vec<TrainingTree> {
    let mut clean: Vec<TrainingTree> = trees(30)
        .into_iter()
        .filter(|tree| {
            tree.tree()
                .nodes
                .iter()
                .all(|node| !node.tokens.contains(&POISON))
        })
        .take(4)
        .collect();
    let bad = &mut clean[3];
    let mut tree = bad.tree().clone();
    tree.nodes[bad.groups()[1].nodes[0]].tokens[0] = POISON;
    *bad = TrainingTree::new(bad.id(), &tree, bad.groups().to_vec()).expect("a whole tree");
    clean
}

fn settings(on_not_finite: NotFinitePolicy) -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-3,
        trees_per_step: 1,
        on_not_finite,
        ..TrainingConfig::default()
    }
}

fn dpo(policy: NotFinitePolicy) -> (Result<Decoder, Error>, Vec<Event>) {
    let data = data();
    // The reference must be finite for training to begin: it is of a healthy model.
    let healthy = model(1);
    let reference = ReferenceLogProbs::compute(&healthy, &data, &settings(policy), &mut |_| {})
        .expect("log-probs");
    let mut events = Vec::new();
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let trained = PreferenceTrainer::new(settings(policy), &loss)
        .expect("good settings")
        .with_other_reference(true)
        .train(poisoned_input(), &data, &reference, &mut |event| {
            events.push(event.clone())
        });
    (trained, events)
}

fn assert_named(fault: &NotFinite, id: &str) {
    assert_eq!(fault.what, "the loss");
    assert_eq!(fault.examples, [id]);
    assert_eq!(
        fault.terms,
        [format!(
            "the policy's log-prob of the chosen response in pair 1 of `{id}` is NaN"
        )]
    );
}

#[test]
fn the_run_ends_with_the_pair_and_the_term_that_went_wrong() {
    let bad = data()[3].id().to_owned();
    let (trained, _) = dpo(NotFinitePolicy::Stop);
    match trained {
        Err(Error::NotFinite { fault, .. }) => assert_named(&fault, &bad),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn a_step_that_is_skipped_leaves_the_weights_and_the_others_train() {
    let bad = data()[3].id().to_owned();
    let (trained, events) = dpo(NotFinitePolicy::Skip);
    let trained = trained.expect("the step is skipped");
    let steps = events
        .iter()
        .filter(|event| event.progress().is_some())
        .count();
    assert_eq!(steps, 3);
    let skipped = events.iter().find_map(|event| match event {
        Event::NotFinite {
            skipped: true,
            fault,
            ..
        } => Some(fault),
        _ => None,
    });
    assert_named(skipped.expect("a skipped step"), &bad);
    let not_finite = weights(&trained)
        .iter()
        .filter(|value| !value.is_finite())
        .count();
    // The poisoned row alone.
    assert_eq!(not_finite, 24);
}

#[test]
fn a_run_that_continues_shows_what_becomes_of_it() {
    let (trained, events) = dpo(NotFinitePolicy::Continue);
    let told = events
        .iter()
        .any(|event| matches!(event, Event::NotFinite { skipped: false, .. }));
    assert!(told);
    let trained = weights(&trained.expect("it goes on"));
    assert!(trained.iter().filter(|value| !value.is_finite()).count() > 24);
}

#[test]
fn fine_tuning_names_the_tree() {
    let data: Vec<TrainingTree> = data()
        .into_iter()
        .map(|tree| TrainingTree::imitated(tree.id(), tree.tree()).expect("a whole tree"))
        .collect();
    let whole = TrainingConfig {
        trees_per_step: 4,
        ..settings(NotFinitePolicy::Stop)
    };
    let trained =
        SftTrainer::new(whole)
            .expect("good settings")
            .train(poisoned_input(), &data, &mut |_| {});
    let message = trained.expect_err("a poisoned tree").to_string();
    let named = format!("a target token of `{}` is not finite", data[3].id());
    assert!(message.contains(&named), "{message}");
    assert!(
        !message.contains(&format!("token of `{}`", data[0].id())),
        "{message}"
    );
}

#[test]
fn reward_models_name_the_pair() {
    let data = data();
    let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let trained = RewardTrainer::new(settings(NotFinitePolicy::Stop), &loss)
        .expect("good settings")
        .train(RewardModel::from_decoder(poisoned()), &data, &mut |_| {});
    let message = trained.expect_err("a poisoned tree").to_string();
    let named = format!(
        "the reward of the chosen response in pair 1 of `{}` is NaN",
        data[3].id()
    );
    assert!(message.contains(&named), "{message}");
}

#[test]
fn gradients_that_are_not_finite_name_the_parameters() {
    // One target with a log-prob of -1e38 or so has a finite loss and a gradient that is not.
    let mut model = poisoned_input();
    let weight = model.model.norm.weight.val();
    model.model.embed_tokens = common::model(1).model.embed_tokens;
    model.model.norm.weight = Param::from_tensor(weight * 1e30);
    let tree = TokenTree::new(vec![1, 2, 3], true);
    let data = [TrainingTree::imitated("one", &tree).expect("a whole tree")];
    let trained = SftTrainer::new(settings(NotFinitePolicy::Stop))
        .expect("good settings")
        .train(model, &data, &mut |_| {});
    let message = trained
        .expect_err("a gradient that is not finite")
        .to_string();
    assert!(message.contains("the gradient norm"), "{message}");
    assert!(message.contains("the gradient of `"), "{message}");
    assert_eq!(message.matches("not finite").count(), 1, "{message}");
}

#[test]
fn what_was_trained_before_a_number_that_is_not_finite_is_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let examples: Vec<TrainingTree> = data()
        .iter()
        .map(|tree| TrainingTree::imitated(tree.id(), tree.tree()).expect("a whole tree"))
        .collect();
    let run = |policy, resume| {
        let snapshots = eurus_train::Snapshots::new(folder.path())
            .with_every_steps(None)
            .with_resume(resume);
        let mut events = Vec::new();
        let trained = SftTrainer::new(settings(policy))
            .and_then(|it| it.with_snapshots(Some(snapshots)))
            .expect("good settings")
            .train(poisoned_input(), &examples, &mut |event| {
                events.push(event.clone());
            });
        (trained, events)
    };
    let (trained, events) = run(NotFinitePolicy::Stop, false);
    let Err(Error::NotFinite { step, .. }) = trained else {
        panic!("it should end");
    };
    assert!(step > 1, "the seed puts the poison first");
    assert!(matches!(events.last(), Some(Event::Saved { step: saved, .. }) if *saved == step - 1));
    // With another policy it goes on from there.
    let (trained, events) = run(NotFinitePolicy::Skip, true);
    trained.expect("it goes on");
    assert!(matches!(events[0], Event::Resumed { step: taken, .. } if taken == step - 1));
}

#[test]
fn many_terms_and_examples_are_one_line_with_the_first_few() {
    let named = |name: &str| {
        (1..=12)
            .map(|it| format!("{name} {it}"))
            .collect::<Vec<_>>()
    };
    let fault = NotFinite {
        what: "the loss".into(),
        value: "NaN".into(),
        terms: named("term"),
        examples: named("row"),
    };
    assert_eq!(
        Error::NotFinite { step: 7, fault }.to_string(),
        "step 7: the loss is NaN; term 1; term 2; term 3 and 9 more; examples of the step: row 1, row 2, row 3 and 9 more; look at these examples and at the model's weights, lower the learning rate, or let such steps be skipped (`on_not_finite`)"
    );
}
