//! What the trainers promise: the numbers do not depend on how a step is packed, and every loss moves the right way.

use crate::common::{imitated, model, proportional_steps, same_but_for_rounding, trees};
use eurus_models::{ForestBody, RewardModel};
use eurus_train::{
    Error, Event, PreferenceTrainer, ReferenceLogProbs, RewardTrainer, SftTrainer, TrainingConfig,
    leaf_rewards, pair_rewards, plan,
};
use pref_losses::{
    BcoConfig, BradleyTerryConfig, DpoConfig, KtoConfig, NcaConfig, PreferenceLossConfig,
    RewardLossConfig, SumConfig, UltraInteractRewardConfig,
};
use token_forest::{Group, TokenTree, TrainingTree, add_mismatched};

/// The same pairs, each as a tree of its own.
fn as_rows(trees: &[TrainingTree]) -> Vec<TrainingTree> {
    trees
        .iter()
        .flat_map(|tree| {
            tree.groups().iter().enumerate().map(|(index, pair)| {
                TrainingTree::new(
                    format!("{}-{index}", tree.id()),
                    tree.tree(),
                    vec![pair.clone()],
                )
                .expect("a part of a whole tree")
            })
        })
        .collect()
}

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-3,
        trees_per_step: 6,
        ..TrainingConfig::default()
    }
}

fn losses() -> [PreferenceLossConfig; 3] {
    [
        PreferenceLossConfig::Dpo(DpoConfig::default()),
        PreferenceLossConfig::Kto(KtoConfig {
            desirable_weight: 1.33,
            ..KtoConfig::default()
        }),
        PreferenceLossConfig::Nca(NcaConfig::default()),
    ]
}

/// A loss that looks at lengths, of each response and of the whole step.
fn loss_of_lengths() -> PreferenceLossConfig {
    let dpo = DpoConfig {
        beta: 1.0,
        length_normalized: true,
        ..DpoConfig::default()
    };
    PreferenceLossConfig::Sum(SumConfig {
        sft_weight: 0.5,
        ..SumConfig::default().with_term(1.0, PreferenceLossConfig::Dpo(dpo))
    })
}

struct Steps(Vec<(f64, f64, pref_losses::PreferenceStats, usize, usize)>);

fn learn(trees: &[TrainingTree], settings: &TrainingConfig, loss: &PreferenceLossConfig) -> Steps {
    let policy = model(5);
    let reference =
        ReferenceLogProbs::compute(&policy, trees, settings, &mut |_| {}).expect("a reference");
    let mut steps = Vec::new();
    PreferenceTrainer::new(settings.clone(), loss)
        .expect("valid settings")
        .train(policy, trees, &reference, &mut |event| {
            if let Event::Preference { progress: p, stats } = event {
                steps.push((p.loss, p.grad_norm, *stats, p.unique_tokens, p.naive_tokens));
            }
        })
        .expect("training");
    Steps(steps)
}

fn assert_near(a: f64, b: f64, what: &str) {
    assert!(same_but_for_rounding(a, b), "{what}: {a} against {b}");
}

#[test]
fn the_first_step_starts_at_the_reference() {
    let mut trees = trees(6);
    add_mismatched(&mut trees, 1).expect("several trees");
    for (loss, at_reference) in
        losses()
            .iter()
            .zip([2f64.ln(), 0.5 * (1.33 + 1.0) * 0.5, 2.0 * 2f64.ln()])
    {
        let steps = learn(&trees, &settings(), loss).0;
        assert_near(steps[0].0, at_reference, loss.name());
        assert_near(steps[0].2.margin, 0.0, "margin");
    }
}

#[test]
fn a_step_does_not_depend_on_the_token_budget() {
    let mut trees = trees(6);
    add_mismatched(&mut trees, 1).expect("several trees");
    let split = proportional_steps(TrainingConfig {
        epochs: 3,
        token_budget: 25,
        log_prob_chunk: 3,
        ..settings()
    });
    let whole = TrainingConfig {
        token_budget: 4096,
        log_prob_chunk: 64,
        ..split.clone()
    };
    for loss in losses().into_iter().chain([loss_of_lengths()]) {
        let (split, whole) = (
            learn(&trees, &split, &loss).0,
            learn(&trees, &whole, &loss).0,
        );
        assert_eq!(split.len(), 3);
        for (a, b) in split.iter().zip(&whole) {
            assert_near(a.0, b.0, "loss");
            assert_near(a.1, b.1, "gradient norm");
            assert_near(a.2.margin, b.2.margin, "margin");
        }
    }
}

#[test]
fn eight_trees_are_the_same_step_in_one_forest_of_eight_two_of_four_and_eight_of_one() {
    let mut trees = trees(8);
    let of_a_tree = trees[0].tree().unique_tokens();
    add_mismatched(&mut trees, 1).expect("several trees");
    for loss in losses().into_iter().chain([loss_of_lengths()]) {
        let steps = [8, 4, 1].map(|trees_of_a_forest| {
            let settings = TrainingConfig {
                trees_per_step: 8,
                token_budget: trees_of_a_forest * of_a_tree,
                ..settings()
            };
            let mut planned = plan::steps(&trees, &settings).expect("a step");
            let planned = planned.next().and_then(Result::ok).expect("a step");
            assert_eq!(planned.forests.len(), 8 / trees_of_a_forest);
            learn(&trees, &settings, &loss).0.swap_remove(0)
        });
        for other in &steps[1..] {
            assert_near(other.0, steps[0].0, loss.name());
            assert_near(other.1, steps[0].1, loss.name());
        }
    }
}

/// A run with some settings that tells a callback.
type Train<'a> = &'a dyn Fn(&TrainingConfig, &mut dyn FnMut(&Event));

#[test]
fn sft_and_reward_steps_are_the_same_in_one_forest_of_eight_trees_two_of_four_and_eight_of_one() {
    let (paired, imitated) = (trees(8), imitated(8));
    let of_a_tree = paired[0].tree().unique_tokens();
    let splits = [8, 4, 1].map(|trees_of_a_forest| TrainingConfig {
        trees_per_step: 8,
        token_budget: trees_of_a_forest * of_a_tree,
        max_steps: Some(1),
        ..settings()
    });
    let first = |train: Train<'_>| {
        splits.each_ref().map(|settings| {
            let mut seen = Vec::new();
            train(settings, &mut |event| {
                seen.extend(event.progress().map(|it| (it.loss, it.grad_norm)));
            });
            seen[0]
        })
    };
    let loss = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let sft = first(&|settings, on_event| {
        let trainer = SftTrainer::new(settings.clone()).expect("good settings");
        let trained = trainer.train(model(5), &imitated, on_event);
        trained.expect("it trains");
    });
    let reward = first(&|settings, on_event| {
        let trainer = RewardTrainer::new(settings.clone(), &loss).expect("good settings");
        let trained = trainer.train(RewardModel::from_decoder(model(5)), &paired, on_event);
        trained.expect("it trains");
    });
    for [whole, others @ ..] in [sft, reward] {
        for other in others {
            assert_near(other.0, whole.0, "loss");
            assert_near(other.1, whole.1, "gradient norm");
        }
    }
}

#[test]
fn trees_give_the_loss_and_gradient_of_their_pairs_as_rows_with_fewer_tokens() {
    let trees = trees(6);
    let rows = as_rows(&trees);
    let loss = &losses()[0];
    let of_rows = TrainingConfig {
        trees_per_step: 12,
        ..settings()
    };
    let (tree, row) = (
        learn(&trees, &settings(), loss).0,
        learn(&rows, &of_rows, loss).0,
    );
    assert_near(tree[0].0, row[0].0, "loss");
    assert_near(tree[0].1, row[0].1, "gradient norm");
    assert!(tree[0].3 < row[0].3, "unique tokens");
    assert_eq!(tree[0].4, row[0].4, "naive tokens");
}

#[test]
fn every_preference_loss_raises_the_margin() {
    let mut trees = trees(6);
    add_mismatched(&mut trees, 1).expect("several trees");
    let settings = TrainingConfig {
        epochs: 20,
        ..settings()
    };
    for loss in losses() {
        let steps = learn(&trees, &settings, &loss).0;
        let last = &steps[steps.len() - 1];
        assert!(
            last.0 < steps[0].0,
            "{}: loss {} to {}",
            loss.name(),
            steps[0].0,
            last.0
        );
        assert!(
            last.2.margin > 0.05,
            "{}: margin {}",
            loss.name(),
            last.2.margin
        );
    }
}

#[test]
fn bco_is_shifted_by_the_mean_reward_of_the_steps_before() {
    let rows = as_rows(&trees(4));
    let settings = TrainingConfig {
        learning_rate: 1e-2,
        trees_per_step: 1,
        epochs: 3,
        ..settings()
    };
    let loss = PreferenceLossConfig::Bco(BcoConfig { beta: 0.5 });
    let softplus = |x: f64| x.exp().ln_1p();
    let (mut sum, mut shifts) = (0.0, Vec::new());
    for (before, step) in learn(&rows, &settings, &loss).0.iter().enumerate() {
        let (chosen, rejected) = (step.2.chosen_reward, step.2.rejected_reward);
        let shift = sum / before.max(1) as f64;
        let want = softplus(shift - chosen) + softplus(rejected - shift);
        assert_near(step.0, want, "loss");
        shifts.push(shift);
        sum += 0.5 * (chosen + rejected);
    }
    assert!(shifts.iter().any(|shift| shift.abs() > 0.1), "{shifts:?}");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another_order() {
    let trees = trees(7);
    let of = |seed| {
        let settings = TrainingConfig {
            trees_per_step: 2,
            seed,
            ..settings()
        };
        let steps = learn(&trees, &settings, &losses()[2]).0;
        steps.iter().map(|step| step.1).collect::<Vec<_>>()
    };
    assert_eq!(of(3), of(3));
    assert_ne!(of(3), of(4));
}

#[test]
fn a_response_in_several_groups_is_computed_once_and_counts_for_each() {
    let mut tree = TokenTree::new(vec![5, 31], false);
    let shared = tree.push(0, vec![10, 20, 0], true);
    let question = tree.push(shared, vec![6, 31], false);
    let last = tree.push(question, vec![11, 0], true);
    let example = |id, nodes: &[usize]| {
        let groups = nodes.iter().map(|&node| Group::imitated(node)).collect();
        TrainingTree::new(id, &tree, groups).expect("a whole tree")
    };
    // Two conversations that begin alike, as one tree and as two.
    let together = [example("both", &[shared, shared, last])];
    let apart = [
        example("short", &[shared]),
        example("long", &[shared, last]),
    ];
    let trainer = SftTrainer::new(settings()).expect("valid settings");
    let loss = |trees: &[TrainingTree]| trainer.evaluate(&model(3), trees).expect("a loss");
    assert_near(loss(&together), loss(&apart), "loss");
    assert_eq!(together[0].tree().unique_tokens(), 9);
    assert_eq!(together[0].naive_tokens(), 5 + 5 + 9);
}

#[test]
fn fine_tuning_memorises_a_few_answers() {
    let examples: Vec<TrainingTree> = (0..4)
        .map(|i| {
            let mut tree = TokenTree::new(vec![i + 1, 31], false);
            tree.push(0, vec![10 + i, 20 + i, 0], true);
            TrainingTree::imitated(format!("example-{i}"), &tree).expect("a trainable tree")
        })
        .collect();
    let settings = TrainingConfig {
        learning_rate: 1e-2,
        epochs: 40,
        trees_per_step: 4,
        ..TrainingConfig::default()
    };
    let mut losses = Vec::new();
    SftTrainer::new(settings)
        .expect("valid settings")
        .train(model(1), &examples, &mut |event| {
            if let Event::Sft {
                progress,
                target_tokens,
            } = event
            {
                assert_eq!(*target_tokens, 12);
                losses.push(progress.loss);
            }
        })
        .expect("training");
    assert!(
        losses[0] > 2.0 && losses[losses.len() - 1] < 0.1,
        "{losses:?}"
    );
}

#[test]
fn direct_rewards_put_zero_between_chosen_and_rejected() {
    let trees = trees(6);
    let settings = TrainingConfig {
        learning_rate: 3e-3,
        epochs: 60,
        ..settings()
    };
    let train = |loss: &RewardLossConfig| {
        let trainer = RewardTrainer::new(settings.clone(), loss).expect("valid settings");
        let trained = trainer
            .train(RewardModel::from_decoder(model(2)), &trees, &mut |_| {})
            .expect("training");
        pair_rewards(&trained, &trees, &settings).expect("rewards")
    };
    let ranked = train(&RewardLossConfig::BradleyTerry(
        BradleyTerryConfig::default(),
    ));
    assert!(ranked.iter().all(|pair| pair.chosen > pair.rejected));
    let direct = train(&RewardLossConfig::UltraInteract(
        UltraInteractRewardConfig::default(),
    ));
    assert!(
        direct
            .iter()
            .all(|pair| pair.chosen > 0.0 && pair.rejected < 0.0),
        "{direct:?}"
    );
}

#[test]
fn the_reward_of_a_leaf_does_not_depend_on_what_else_is_scored() {
    let mut reward_model = RewardModel::from_decoder(model(2));
    let head = reward_model.head.projection_mut();
    head.weight = head.weight.clone().map(|weight| weight + 0.1);
    let trees: Vec<TokenTree> = trees(5)
        .into_iter()
        .map(|tree| tree.tree().clone())
        .collect();
    let together = leaf_rewards(&reward_model, &trees, &settings()).expect("rewards");
    for (tree, rewards) in trees.iter().zip(together) {
        for (&leaf, reward) in tree.leaves().iter().zip(rewards) {
            let alone = TokenTree::new(tree.path_tokens(leaf), false);
            let alone = leaf_rewards(&reward_model, &[alone], &settings()).expect("rewards");
            assert_near(f64::from(reward), f64::from(alone[0][0]), "reward");
        }
    }
}

#[test]
fn bad_data_is_refused_before_training() {
    let good = trees(2);
    let short = TrainingConfig {
        max_path_tokens: 5,
        ..settings()
    };
    let error = ReferenceLogProbs::compute(&model(1), &good, &short, &mut |_| {});
    assert!(matches!(error, Err(Error::PathTooLong { id, limit: 5, .. }) if id == "tree-0"));

    let mut one = trees(1);
    assert!(matches!(
        add_mismatched(&mut one, 0),
        Err(token_forest::Error::OneTreeForKl)
    ));

    let tree = TokenTree::new(vec![1, 2], false);
    assert!(matches!(
        TrainingTree::imitated("bare", &tree),
        Err(token_forest::Error::NothingToLearn { id }) if id == "bare"
    ));
    assert!(matches!(
        TrainingTree::new("x", &tree, vec![Group::pair(0, 1)]),
        Err(token_forest::Error::BadGroup { group: 0, .. })
    ));

    let reference = ReferenceLogProbs::compute(&model(1), &good, &settings(), &mut |_| {})
        .expect("a reference");
    let trainer = PreferenceTrainer::new(settings(), &losses()[0]).expect("valid settings");
    let other = trainer.train(model(1), &trees(3), &reference, &mut |_| {});
    assert!(matches!(
        other,
        Err(Error::StaleReference {
            expected: 4,
            found: 6
        })
    ));

    let wrong = TrainingConfig {
        warmup_ratio: 2.0,
        ..settings()
    };
    assert!(matches!(
        SftTrainer::new(wrong),
        Err(Error::Config {
            field: "warmup_ratio",
            ..
        })
    ));
}

#[test]
fn a_token_the_model_does_not_know_is_refused_before_any_training() {
    let policy = model(1);
    let vocab_size = policy.vocab_size();
    let mut trees = trees(2);
    let mut tree = trees[1].tree().clone();
    tree.nodes[0].tokens[0] = vocab_size as u32;
    let groups = trees[1].groups().to_vec();
    trees[1] = TrainingTree::new("tree-1", &tree, groups).expect("a whole tree");
    let refused = |error: Option<Error>, what: &str| {
        let named = matches!(
            &error,
            Some(Error::UnknownToken { id, token, vocab_size: known })
                if id == trees[1].id() && *token as usize == vocab_size && *known == vocab_size
        );
        assert!(named, "{what}: {error:?}");
    };
    let sft: Vec<TrainingTree> = trees
        .iter()
        .map(|tree| TrainingTree::imitated(tree.id(), tree.tree()).expect("trainable"))
        .collect();
    let trainer = SftTrainer::new(settings()).expect("valid settings");
    refused(trainer.train(model(1), &sft, &mut |_| {}).err(), "sft");
    let reference = ReferenceLogProbs::compute(&policy, &trees, &settings(), &mut |_| {});
    refused(reference.err(), "reference");
    let loss = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
    let trainer = RewardTrainer::new(settings(), &loss).expect("valid settings");
    let body = RewardModel::from_decoder(policy);
    refused(trainer.train(body, &trees, &mut |_| {}).err(), "reward");
}
