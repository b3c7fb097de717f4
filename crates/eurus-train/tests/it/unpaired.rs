//! Responses that were judged one by one: what is trained is the loss of `pref_losses` over all of them, however they are
//! packed.

use crate::common::{log_prob_alone, model, on_ranks, proportional_steps, same_but_for_rounding};
use burn::tensor::{Bool, Device, Tensor};
use eurus_train::{
    Error, Event, PreferenceTrainer, Ranks, ReferenceCache, ReferenceKey, ReferenceLogProbs,
    TrainingConfig,
};
use pref_losses::{
    BcoConfig, KtoConfig, PreferenceStats, UnpairedContext, UnpairedLogProbs, UnpairedLossConfig,
};
use token_forest::{
    ChatTokenizer, Group, Label, TokenTree, TrainingTree, add_mismatched, train_bpe,
};
use ultrainteract::{Action, ActionSource, Observation, PreferenceTree, Schema, Task, Verdict};

/// Trees with three judged responses, one of them after another one and its observation.
fn trees(count: u32) -> Vec<TrainingTree> {
    let tree = |i: u32| {
        let token = |offset: u32| 1 + (7 * i + offset) % 30;
        let mut tree = TokenTree::new(vec![token(0), token(3), 31], false);
        let good = tree.push(0, vec![token(1), token(4), 0], true);
        let bad = tree.push(0, vec![token(2), 0], true);
        let observation = tree.push(bad, vec![token(9), token(8), 31], false);
        let better = tree.push(observation, vec![token(1), token(5), 0], true);
        tree.push(observation, vec![token(13), 0], true);
        let judged = [(good, true), (bad, false), (better, true)];
        let responses = judged.map(|(node, desirable)| Group::verdict(node, desirable));
        TrainingTree::new(format!("tree-{i}"), &tree, responses.to_vec()).expect("a whole tree")
    };
    (0..count).map(tree).collect()
}

fn verdicts(tree: &TrainingTree) -> Vec<bool> {
    let desirable = |group: &Group| group.label == Label::Verdict { desirable: true };
    tree.groups().iter().map(desirable).collect()
}

fn with_mismatched(count: u32) -> Vec<TrainingTree> {
    let mut trees = trees(count);
    add_mismatched(&mut trees, 3).expect("several trees");
    trees
}

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-3,
        trees_per_step: 6,
        epochs: 2,
        ..TrainingConfig::default()
    }
}

fn losses() -> [UnpairedLossConfig; 3] {
    [
        UnpairedLossConfig::Kto(KtoConfig {
            desirable_weight: 1.33,
            ..KtoConfig::default()
        }),
        UnpairedLossConfig::Bco(BcoConfig::default()),
        serde_json::from_str(r#"{"type": "apo_zero"}"#).expect("a loss"),
    ]
}

/// The loss of a step, and what was reported of its responses.
type Step = (f64, PreferenceStats);

fn learn(
    trees: &[TrainingTree],
    settings: &TrainingConfig,
    loss: &UnpairedLossConfig,
    ranks: Ranks,
) -> eurus_train::Result<Vec<Step>> {
    let policy = model(5);
    let trainer = PreferenceTrainer::new(settings.clone(), loss)?.with_ranks(ranks);
    let reference = trainer.reference(&policy, trees, None, &mut |_| {})?;
    let mut steps = Vec::new();
    trainer.train(policy, trees, &reference, &mut |event| {
        if let Event::Preference { progress, stats } = event {
            steps.push((progress.loss, *stats));
        }
    })?;
    Ok(steps)
}

#[test]
fn the_trained_loss_is_that_of_the_library_over_all_responses_each_computed_alone() {
    let trees = with_mismatched(5);
    let (policy_seed, reference_seed) = (5, 6);
    let reference =
        ReferenceLogProbs::compute(&model(reference_seed), &trees, &settings(), &mut |_| {})
            .expect("a reference");
    let device = Device::flex();
    let of_all = |seed: u64, nodes: fn(&TrainingTree) -> Vec<usize>| {
        let log_probs: Vec<f32> = trees
            .iter()
            .flat_map(|tree| nodes(tree).into_iter().map(move |node| (tree, node)))
            .map(|(tree, node)| log_prob_alone(&model(seed), tree.tree(), node))
            .collect();
        Tensor::<1>::from_floats(log_probs.as_slice(), &device)
    };
    let judged = |tree: &TrainingTree| tree.groups().iter().map(|it| it.nodes[0]).collect();
    let mismatched = |tree: &TrainingTree| {
        let groups = tree.groups().iter();
        groups.filter_map(|it| it.mismatched).collect()
    };
    let verdicts: Vec<bool> = trees.iter().flat_map(verdicts).collect();
    for config in losses() {
        let loss = config.init().expect("valid settings");
        let log_probs = UnpairedLogProbs {
            policy: of_all(policy_seed, judged),
            reference: of_all(reference_seed, judged),
            desirable: Tensor::<1, Bool>::from_data(verdicts.as_slice(), &device),
        };
        let context = UnpairedContext {
            kl: loss.kl(
                of_all(policy_seed, mismatched),
                of_all(reference_seed, mismatched),
            ),
            ..UnpairedContext::default()
        };
        let output = loss.forward(log_probs, &context).expect("a loss");
        let expected = f64::from(output.losses.mean().into_scalar::<f32>());

        for token_budget in [25, 4096] {
            let settings = TrainingConfig {
                token_budget,
                ..settings()
            };
            let trainer = PreferenceTrainer::new(settings, &config).expect("valid");
            let stats = trainer.evaluate(&model(policy_seed), &trees, &reference);
            let stats = stats.expect("a judgement");
            assert!(
                (stats.loss - expected).abs() < 1e-5,
                "{}: {} of forests of {token_budget}, {expected} one by one",
                config.name(),
                stats.loss
            );
            assert_eq!((stats.groups, stats.chosen), (15, 10));
        }
    }
}

#[test]
fn a_run_does_not_depend_on_the_token_budget_or_on_the_ranks() {
    let settings = proportional_steps(settings());
    let trees = with_mismatched(7);
    for loss in losses() {
        let run = |settings: &TrainingConfig| {
            learn(&trees, settings, &loss, Ranks::default()).expect("training")
        };
        let whole = run(&settings);
        let split = TrainingConfig {
            token_budget: 25,
            log_prob_chunk: 3,
            ..settings.clone()
        };
        let of_ranks = on_ranks(3, |ranks| {
            learn(&trees, &settings, &loss, ranks).expect("training")
        });
        for other in of_ranks.iter().chain([&run(&split)]) {
            for ((a, stats_a), (b, stats_b)) in whole.iter().zip(other) {
                let name = loss.name();
                assert!(same_but_for_rounding(*a, *b), "{name}: {a} against {b}");
                assert!(stats_a.has_both() && stats_b.has_both());
                let (a, b) = (stats_a.margin, stats_b.margin);
                assert!(same_but_for_rounding(a, b), "{name}: {a} against {b}");
            }
        }
    }
}

#[test]
fn every_unpaired_loss_raises_what_is_desirable_above_what_is_not() {
    let trees = with_mismatched(6);
    let settings = TrainingConfig {
        epochs: 12,
        ..settings()
    };
    for loss in losses() {
        let steps = learn(&trees, &settings, &loss, Ranks::default()).expect("training");
        let (first, last) = (&steps[0], &steps[steps.len() - 1]);
        assert!(first.1.margin.abs() < 1e-4, "{}", loss.name());
        assert!(last.1.margin > 0.02, "{}: {last:?}", loss.name());
        assert!(last.0 < first.0, "{}", loss.name());
    }
}

#[test]
fn a_cached_reference_is_the_live_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (trees, reference_model) = (with_mismatched(5), model(6));
    let cache = ReferenceCache::new(
        folder.path().join("reference.jsonl"),
        ReferenceKey::new(&reference_model, "none"),
    );
    let trainer = PreferenceTrainer::new(settings(), &losses()[0]).expect("valid settings");
    let compute = |cache| {
        let reference = trainer.reference(&reference_model, &trees, cache, &mut |_| {});
        reference.expect("a reference")
    };
    let live = compute(None);
    assert_eq!(compute(Some(&cache)), live);
    assert_eq!(compute(Some(&cache)), live, "read back");
}

#[test]
fn verdicts_on_what_cannot_have_one_are_refused() {
    let mut tree = TokenTree::new(vec![1, 2], false);
    let node = tree.push(0, vec![3], true);
    let refused = |nodes: &[usize]| {
        let responses: Vec<_> = nodes
            .iter()
            .map(|&node| Group::verdict(node, true))
            .collect();
        TrainingTree::new("p1", &tree, responses).expect_err("refused")
    };
    assert!(matches!(
        refused(&[]),
        token_forest::Error::NothingToLearn { .. }
    ));
    for (nodes, says) in [
        (vec![0], "node 0 is a root"),
        (vec![node, 7], "node 7 is a root or does not exist"),
    ] {
        let error = refused(&nodes);
        let said = error.to_string();
        assert!(said.contains(says) && said.contains("p1"), "{said}");
        assert!(matches!(error, token_forest::Error::BadGroup { .. }));
    }
}

#[test]
fn kto_without_mismatched_completions_is_refused_before_training() {
    let trees = trees(3);
    let error = learn(&trees, &settings(), &losses()[0], Ranks::default());
    let missing = Error::Loss(pref_losses::Error::MissingKl).to_string();
    assert_eq!(error.expect_err("no KL").to_string(), missing);
    assert!(learn(&trees, &settings(), &losses()[1], Ranks::default()).is_ok());
}

#[test]
fn the_judged_actions_of_a_preference_tree_are_labelled_with_their_verdicts() {
    let action = |text: &str, verdict| Action {
        text: text.into(),
        verdict,
        actor: "test".into(),
        schema: Schema::ChainOfThought,
        source: ActionSource::Sampled,
    };
    let mut tree = PreferenceTree::new("p1", Task::MathCot, "test", "6 * 7?").expect("a tree");
    let wrong = tree.add_action(tree.root(), action("41", Verdict::Incorrect));
    let wrong = wrong.expect("an action");
    let again = tree.add_observation(wrong, Observation::parse("Your answer is wrong."));
    let again = again.expect("an observation");
    tree.add_action(again, action("42", Verdict::Correct))
        .expect("an action");
    tree.add_action(again, action("?", Verdict::Unjudged))
        .expect("an action");
    let bpe = train_bpe(["6 * 7? 42"], 300, &["<|im_start|>", "<|im_end|>"]).expect("merges");
    let tokenizer = ChatTokenizer::from_files(bpe.files().expect("files")).expect("a tokenizer");
    let labelled = TrainingTree::verdicts_of(&tree, &tokenizer).expect("two verdicts");
    assert_eq!(verdicts(&labelled), [false, true]);
    assert_eq!(
        labelled.tree().nodes.len(),
        4,
        "what was not judged is not there"
    );
    let trainable = labelled.tree().nodes.iter().filter(|node| node.trainable);
    assert_eq!(trainable.count(), 2);
}
