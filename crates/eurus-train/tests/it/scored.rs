//! Several scored responses to a prompt: what is trained is the loss of `pref_losses` over all prompts, however they are
//! packed.

use crate::common::{log_prob_alone, model, on_ranks, proportional_steps, same_but_for_rounding};
use burn::tensor::{Device, Tensor};
use eurus_models::Decoder;
use eurus_train::{Event, PreferenceTrainer, Ranks, ReferenceLogProbs, TrainingConfig};
use pref_losses::{NcaKConfig, PreferenceStats, ResponseLogProbs, ScoredLossConfig};
use token_forest::{Error, Group, Label, TokenTree, TrainingTree};

/// Trees of two prompts with three responses each, the second prompt after a response to the first.
fn trees(count: u32) -> Vec<TrainingTree> {
    let tree = |i: u32| {
        let token = |offset: u32| 1 + (7 * i + offset) % 30;
        let mut tree = TokenTree::new(vec![token(0), token(3), 31], false);
        let respond = |tree: &mut TokenTree, prompt| {
            let scores = [0.5, 2.0, -1.0];
            let answers = (0..3).map(|k| vec![token(5 * k + prompt as u32), token(k), 0]);
            let scored = answers.zip(scores);
            Group::scored(scored.map(|(tokens, score)| (tree.push(prompt, tokens, true), score)))
        };
        let first = respond(&mut tree, 0);
        let observation = tree.push(first.nodes[2], vec![token(9), token(8), 31], false);
        let second = respond(&mut tree, observation);
        TrainingTree::new(format!("tree-{i}"), &tree, vec![first, second]).expect("a whole tree")
    };
    (0..count).map(tree).collect()
}

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-3,
        trees_per_step: 4,
        epochs: 2,
        ..TrainingConfig::default()
    }
}

fn losses() -> [ScoredLossConfig; 2] {
    let config = NcaKConfig {
        temperature: 0.5,
        ..NcaKConfig::default()
    };
    [
        ScoredLossConfig::NcaK(config.clone()),
        ScoredLossConfig::InfoNca(config),
    ]
}

/// The loss of a step, and what was reported of its prompts.
type Step = (f64, PreferenceStats);

fn learn(
    trees: &[TrainingTree],
    settings: &TrainingConfig,
    loss: &ScoredLossConfig,
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

/// Log-probs of all responses, each computed by itself: `[prompts, responses]`.
fn each_alone(model: &Decoder, trees: &[TrainingTree]) -> Tensor<2> {
    let responses = trees
        .iter()
        .flat_map(|tree| tree.groups().iter().map(move |group| (tree, group)));
    let values: Vec<f32> = responses
        .flat_map(|(tree, group)| group.nodes.iter().map(move |&node| (tree, node)))
        .map(|(tree, node)| log_prob_alone(model, tree.tree(), node))
        .collect();
    Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([-1, 3])
}

#[test]
fn the_trained_loss_is_that_of_the_library_over_all_prompts_each_response_computed_alone() {
    let trees = trees(5);
    let (policy, reference_model) = (model(5), model(6));
    let reference = ReferenceLogProbs::compute(&reference_model, &trees, &settings(), &mut |_| {})
        .expect("a reference");
    let groups = trees.iter().flat_map(TrainingTree::groups);
    let scores_of = |group: &Group| match &group.label {
        Label::Scores(scores) => scores.clone(),
        _ => Vec::new(),
    };
    let scores: Vec<f32> = groups.flat_map(scores_of).collect();
    let scores = Tensor::<1>::from_floats(scores.as_slice(), &Device::flex()).reshape([-1, 3]);
    for config in losses() {
        let output = config
            .init()
            .expect("valid settings")
            .forward(ResponseLogProbs {
                policy: each_alone(&policy, &trees),
                reference: each_alone(&reference_model, &trees),
                scores: scores.clone(),
            });
        let expected = f64::from(output.losses.mean().into_scalar::<f32>());
        // The second prompt with its history and three responses has 18 tokens.
        for token_budget in [18, 4096] {
            let settings = TrainingConfig {
                token_budget,
                ..settings()
            };
            let trainer = PreferenceTrainer::new(settings, &config).expect("valid");
            let stats = trainer.evaluate(&policy, &trees, &reference);
            let stats = stats.expect("a judgement");
            assert!(
                (stats.loss - expected).abs() < 1e-5,
                "{}: {} of forests of {token_budget}, {expected} one by one",
                config.name(),
                stats.loss
            );
            assert_eq!((stats.groups, stats.chosen, stats.rejected), (10, 10, 20));
        }
    }
}

#[test]
fn a_run_does_not_depend_on_the_token_budget_or_on_the_ranks() {
    let settings = proportional_steps(settings());
    let trees = trees(7);
    for loss in losses() {
        let run = |settings: &TrainingConfig| {
            learn(&trees, settings, &loss, Ranks::default()).expect("training")
        };
        let whole = run(&settings);
        let split = TrainingConfig {
            token_budget: 18,
            log_prob_chunk: 3,
            recompute_activations: true,
            ..settings.clone()
        };
        let of_ranks = on_ranks(3, |ranks| {
            learn(&trees, &settings, &loss, ranks).expect("training")
        });
        for other in of_ranks.iter().chain([&run(&split)]) {
            assert_eq!(whole.len(), other.len());
            for ((a, stats_a), (b, stats_b)) in whole.iter().zip(other) {
                for (a, b) in [(*a, *b), (stats_a.margin, stats_b.margin)] {
                    let name = loss.name();
                    assert!(same_but_for_rounding(a, b), "{name}: {a} against {b}");
                }
            }
        }
    }
}

#[test]
fn every_loss_raises_the_best_response_above_the_others() {
    let trees = trees(6);
    let settings = TrainingConfig {
        epochs: 15,
        ..settings()
    };
    for (loss, at_the_reference) in losses().iter().zip([4.0_f64, 3.0]) {
        let steps = learn(&trees, &settings, loss, Ranks::default()).expect("training");
        let (first, last) = (&steps[0], &steps[steps.len() - 1]);
        assert!((first.0 - at_the_reference.ln()).abs() < 1e-4, "{first:?}");
        assert!(last.0 < first.0, "{}: {last:?}", loss.name());
        assert!(last.1.margin > 0.02, "{}: {last:?}", loss.name());
        assert!(
            last.1.accuracy > first.1.accuracy,
            "{}: {last:?}",
            loss.name()
        );
    }
}

#[test]
fn responses_that_cannot_be_scored_against_each_other_are_refused() {
    let mut tree = TokenTree::new(vec![1, 2], false);
    let [a, b] = [3, 4].map(|token| tree.push(0, vec![token], true));
    let later = tree.push(a, vec![6], true);
    let refused = |prompts: &[&[(usize, f32)]]| {
        let prompts = prompts.iter().map(|it| Group::scored(it.iter().copied()));
        TrainingTree::new("p1", &tree, prompts.collect()).expect_err("refused")
    };
    assert!(matches!(refused(&[]), Error::NothingToLearn { .. }));
    for (responses, says) in [
        (vec![(a, 1.0)], "1 responses, not 2"),
        (vec![(a, 1.0), (0, 0.0)], "node 0 is a root"),
        (vec![(a, 1.0), (a, 0.0)], "in it twice"),
        (vec![(a, 1.0), (later, 0.0)], "answers another prompt"),
        (vec![(a, 1.0), (b, f32::NAN)], "is NaN"),
    ] {
        let error = refused(&[&responses]);
        let said = error.to_string();
        assert!(said.contains(says) && said.contains("p1"), "{said}");
        assert!(matches!(error, Error::BadGroup { .. }));
    }
}

#[test]
fn prompts_with_different_numbers_of_responses_share_a_step() {
    let three = trees(2);
    let mut tree = TokenTree::new(vec![1, 2], false);
    let responses = [3, 4].map(|token| (tree.push(0, vec![token], true), token as f32));
    let responses = vec![Group::scored(responses)];
    let two = TrainingTree::new("two", &tree, responses).expect("a tree");
    let together = [three[0].clone(), two.clone(), three[1].clone()];
    for loss in losses() {
        let learn = |trees: &[TrainingTree]| {
            learn(trees, &settings(), &loss, Ranks::default()).expect("training")[0]
        };
        let (of_two, of_three, of_all) = (
            learn(std::slice::from_ref(&two)),
            learn(&three),
            learn(&together),
        );
        let mean = (of_two.0 + 4.0 * of_three.0) / 5.0;
        assert!((of_all.0 - mean).abs() < 1e-6, "{of_all:?}");
        assert_eq!(
            (of_all.1.groups, of_all.1.chosen, of_all.1.rejected),
            (5, 5, 9)
        );
    }
}
