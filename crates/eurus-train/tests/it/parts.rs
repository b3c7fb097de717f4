//! Losses that look at more than sums over responses: at tokens, turns, the policy's own weights or representations. What is
//! trained is the loss of `pref_losses` of numbers that are computed path by path.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use eurus_models::{Decoder, ForestBatch, ForestBody, ForestModel, RewardModel};
use eurus_train::log_probs::target_log_probs;
use eurus_train::{
    Event, PreferenceTrainer, Ranks, ReferenceLogProbs, RewardTrainer, Snapshots, TrainingConfig,
    pair_rewards,
};
use pref_losses::log_probs::token_log_sum_squares;
use pref_losses::{
    DmpoConfig, LdDpoConfig, NormBtConfig, PairContext, PairLogProbs, PairLogWeights, PairLoss,
    PairParts, PreferenceLossConfig, ResponseParts, RewardLossConfig, WpoConfig,
    representation_distances,
};
use token_forest::{Group, PackedForest, TokenTree, TrainingTree};

use crate::common::{model, on_ranks, proportional_steps, same_but_for_rounding, trees, weights};

/// Trees whose pair compares trajectories of one and of two turns.
fn trajectories(count: u32) -> Vec<TrainingTree> {
    let tree = |i: u32| {
        let token = |offset: u32| 1 + (5 * i + offset) % 30;
        let mut tree = TokenTree::new(vec![token(0), token(3), 31], false);
        let right_away = tree.push(0, vec![token(1), token(4), 0], true);
        let wrong = tree.push(0, vec![token(2), 0], true);
        let observation = tree.push(wrong, vec![token(9), 31], false);
        let wrong_again = tree.push(observation, vec![token(7), token(8), token(6), 0], true);
        let pair = Group::pair(right_away, wrong_again);
        TrainingTree::new(format!("tree-{i}"), &tree, vec![pair]).expect("a whole tree")
    };
    (0..count).map(tree).collect()
}

fn settings() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 1e-3,
        trees_per_step: 3,
        epochs: 2,
        ..TrainingConfig::default()
    }
}

/// A node's tokens after its history, by itself: their log-probs, and `log sum_v p(v)^2` at the same places.
fn tokens_alone(model: &Decoder, tree: &TokenTree, node: usize) -> (Vec<f32>, Vec<f32>) {
    let path = tree.subtree(&[node]).expect("a node");
    let place = path.index_of(node).expect("kept");
    let mut tree = path.tree;
    for (index, node) in tree.nodes.iter_mut().enumerate() {
        node.trainable = index == place;
    }
    let forest = PackedForest::from_trees([&tree]).expect("a tree");
    let batch = ForestBatch::new(forest, &Device::flex());
    let read = |tensor: Tensor<1>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
    let log_probs = read(target_log_probs(model, &batch, 64));
    let logits = model
        .hidden_states(&batch)
        .matmul(model.output_weight().transpose());
    let squares = token_log_sum_squares(logits.unsqueeze_dim::<3>(0));
    let squares = read(squares.squeeze_dim(0));
    let predictors = batch.forest.targets.iter().map(|it| it.predictor as usize);
    (log_probs, predictors.map(|it| squares[it]).collect())
}

fn vector(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex())
}

fn parts(policy: &[f32], reference: &[f32]) -> ResponseParts {
    let shape = [1, policy.len()];
    let row = |values: &[f32]| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    };
    let mask = TensorData::new(vec![true; policy.len()], shape);
    ResponseParts {
        policy: row(policy),
        reference: row(reference),
        mask: Tensor::<2, Bool>::from_data(mask, &Device::flex()),
    }
}

/// The mean loss over the pairs of some trees, everything computed path by path.
fn one_by_one(
    loss: &PreferenceLossConfig,
    trees: &[TrainingTree],
    policy: &Decoder,
    reference: &Decoder,
) -> f64 {
    let loss = loss.init().expect("valid settings");
    let pairs = trees
        .iter()
        .flat_map(|tree| tree.groups().iter().map(move |group| (tree, &group.nodes)));
    let losses: Vec<f64> = pairs
        .map(|(tree, nodes)| {
            let tokens = |model: &Decoder, node: usize| tokens_alone(model, tree.tree(), node).0;
            let sum = |model: &Decoder, node: usize| tokens(model, node).iter().sum::<f32>();
            let [chosen, rejected] = [nodes[0], nodes[1]];
            let by_token = |node: usize| parts(&tokens(policy, node), &tokens(reference, node));
            let by_turn = |node: usize| {
                let of = |model: &Decoder| -> Vec<f32> {
                    let turns = tree.turns_to(node).into_iter();
                    turns.map(|turn| sum(model, turn)).collect()
                };
                parts(&of(policy), &of(reference))
            };
            let log_weight = |node: usize| {
                let (log_probs, squares) = tokens_alone(policy, tree.tree(), node);
                let excess = log_probs.iter().zip(&squares).map(|(p, s)| p - s);
                vector(&[excess.sum::<f32>() / log_probs.len() as f32])
            };
            let context = PairContext {
                tokens: Some(PairParts {
                    chosen: by_token(chosen),
                    rejected: by_token(rejected),
                }),
                turns: Some(PairParts {
                    chosen: by_turn(chosen),
                    rejected: by_turn(rejected),
                }),
                log_weights: Some(PairLogWeights {
                    chosen: log_weight(chosen),
                    rejected: log_weight(rejected),
                }),
                ..PairContext::default()
            };
            let log_probs = PairLogProbs {
                policy_chosen: vector(&[sum(policy, chosen)]),
                policy_rejected: vector(&[sum(policy, rejected)]),
                reference_chosen: vector(&[sum(reference, chosen)]),
                reference_rejected: vector(&[sum(reference, rejected)]),
            };
            let output = loss.forward(log_probs, &context).expect("all is given");
            f64::from(output.losses.into_scalar::<f32>())
        })
        .collect();
    losses.iter().sum::<f64>() / losses.len() as f64
}

fn losses() -> [PreferenceLossConfig; 4] {
    let desensitized = PreferenceLossConfig::LdDpo(LdDpoConfig {
        alpha: 0.3,
        ..LdDpoConfig::default()
    });
    [
        desensitized.clone(),
        PreferenceLossConfig::Dmpo(DmpoConfig {
            gamma: 0.8,
            ..DmpoConfig::default()
        }),
        PreferenceLossConfig::Wpo(WpoConfig::default()),
        // Both at once: tokens and weights.
        PreferenceLossConfig::Wpo(WpoConfig {
            loss: Box::new(desensitized),
            ..WpoConfig::default()
        }),
    ]
}

fn data() -> Vec<TrainingTree> {
    [trees(3), trajectories(4)].concat()
}

#[test]
fn the_trained_loss_is_that_of_the_library_over_parts_computed_alone() {
    let (policy, other) = (model(5), model(6));
    let data = data();
    assert_eq!(data[3].turns_to(data[3].groups()[0].nodes[1]).len(), 2);
    for loss in losses() {
        let expected = one_by_one(&loss, &data, &policy, &other);
        for token_budget in [25, 4096] {
            let settings = TrainingConfig {
                token_budget,
                ..settings()
            };
            let trainer = PreferenceTrainer::new(settings, &loss).expect("valid settings");
            let reference = trainer.reference(&other, &data, None, &mut |_| {});
            let reference = reference.expect("a reference");
            let stats = trainer.evaluate(&policy, &data, &reference);
            let found = stats.expect("a judgement").loss;
            assert!(
                (found - expected).abs() < 1e-5 * (1.0 + expected),
                "{}: {found} of forests of {token_budget}, {expected} one by one",
                loss.name()
            );
        }
    }
}

/// Losses and gradient norms of the steps of a run.
fn learn(loss: &PreferenceLossConfig, settings: &TrainingConfig, ranks: Ranks) -> Vec<[f64; 2]> {
    let (policy, data) = (model(5), data());
    let trainer = PreferenceTrainer::new(settings.clone(), loss).expect("valid settings");
    let trainer = trainer.with_ranks(ranks);
    let reference = trainer.reference(&policy, &data, None, &mut |_| {});
    let mut steps = Vec::new();
    trainer
        .train(
            policy,
            &data,
            &reference.expect("a reference"),
            &mut |event| {
                steps.extend(event.progress().map(|step| [step.loss, step.grad_norm]));
            },
        )
        .expect("training");
    steps
}

#[test]
fn a_run_on_parts_does_not_depend_on_the_token_budget_or_on_the_ranks() {
    let settings = proportional_steps(settings());
    for loss in losses() {
        let whole = learn(&loss, &settings, Ranks::default());
        let split = TrainingConfig {
            token_budget: 25,
            log_prob_chunk: 3,
            recompute_activations: true,
            ..settings.clone()
        };
        let split = learn(&loss, &split, Ranks::default());
        let of_ranks = on_ranks(2, |ranks| learn(&loss, &settings, ranks));
        for other in of_ranks.iter().chain([&split]) {
            for (a, b) in whole.iter().flatten().zip(other.iter().flatten()) {
                let name = loss.name();
                assert!(same_but_for_rounding(*a, *b), "{name}: {a} against {b}");
            }
        }
        assert!(whole[whole.len() - 1][0] < whole[0][0], "{}", loss.name());
    }
}

/// Losses of the steps of a run, and the weights it ends with.
fn norm_bt(
    loss: &NormBtConfig,
    settings: &TrainingConfig,
    snapshots: Option<Snapshots>,
    ranks: Ranks,
) -> (Vec<f64>, Vec<f32>) {
    let mut steps = Vec::new();
    let trained = RewardTrainer::new(settings.clone(), &RewardLossConfig::NormBt(loss.clone()))
        .expect("valid settings")
        .with_snapshots(snapshots)
        .expect("valid settings")
        .with_ranks(ranks)
        .train(RewardModel::from_decoder(model(5)), &data(), &mut |event| {
            if let Event::Reward { progress, .. } = event {
                steps.push(progress.loss);
            }
        })
        .expect("training");
    (steps, weights(&trained))
}

#[test]
fn norm_bt_weighs_pairs_by_the_distances_of_their_ends() {
    let reward_model = RewardModel::from_decoder(model(5));
    let data = data();
    let config = NormBtConfig::default();
    let loss = RewardLossConfig::NormBt(config.clone());
    let trainer = RewardTrainer::new(settings(), &loss).expect("valid settings");
    let found = trainer.evaluate(&reward_model, &data).expect("a judgement");

    let end = |tree: &TrainingTree, node: usize| {
        let path = tree.tree().subtree(&[node]).expect("a node");
        let forest = PackedForest::from_trees([&path.tree]).expect("a tree");
        let last = forest.len() - 1;
        let hidden = reward_model.hidden_states(&ForestBatch::new(forest, &Device::flex()));
        hidden.narrow(0, last, 1)
    };
    let mut distances = Vec::new();
    for tree in &data {
        for pair in tree.groups() {
            let apart =
                representation_distances(end(tree, pair.nodes[0]), end(tree, pair.nodes[1]));
            distances.push(apart.into_scalar::<f32>());
        }
    }
    let rewards = pair_rewards(&reward_model, &data, &settings()).expect("rewards");
    let mean = distances.iter().map(|&it| f64::from(it)).sum::<f64>() / distances.len() as f64;
    let of =
        |of: fn(&eurus_train::PairRewards) -> f32| -> Vec<f32> { rewards.iter().map(of).collect() };
    let losses = config.init().expect("valid settings").forward(
        vector(&of(|pair| pair.chosen)),
        vector(&of(|pair| pair.rejected)),
        vector(&distances),
        mean,
    );
    let expected = f64::from(losses.mean().into_scalar::<f32>());
    assert!(
        (found.loss - expected).abs() < 1e-5,
        "{} {expected}",
        found.loss
    );
}

#[test]
fn norm_bt_remembers_its_mean_over_forests_ranks_and_interruptions() {
    let settings = proportional_steps(TrainingConfig {
        epochs: 3,
        ..settings()
    });
    let config = NormBtConfig {
        decay: 0.5,
        ..NormBtConfig::default()
    };
    let alone = || norm_bt(&config, &settings, None, Ranks::default());
    let whole = alone();
    assert_eq!(whole, alone());
    let split = TrainingConfig {
        token_budget: 25,
        ..settings.clone()
    };
    let (split, _) = norm_bt(&config, &split, None, Ranks::default());
    let of_ranks = on_ranks(2, |ranks| norm_bt(&config, &settings, None, ranks).0);
    for other in of_ranks.iter().chain([&split]) {
        for (a, b) in whole.0.iter().zip(other) {
            assert!(same_but_for_rounding(*a, *b), "{a} against {b}");
        }
    }
    // Another decay, another mean: the second step is the first that it tells.
    let (other, _) = norm_bt(
        &NormBtConfig {
            decay: 0.0,
            ..config
        },
        &settings,
        None,
        Ranks::default(),
    );
    assert_eq!(whole.0[..2], other[..2]);
    assert_ne!(whole.0[2..], other[2..]);

    let config = NormBtConfig {
        decay: 0.5,
        ..NormBtConfig::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = || {
        Snapshots::new(folder.path())
            .with_every_steps(2)
            .with_keep(9)
    };
    norm_bt(&config, &settings, Some(snapshots()), Ranks::default());
    std::fs::remove_dir_all(folder.path().join("step-00000009")).expect("the last");
    let resumed = norm_bt(
        &config,
        &settings,
        Some(snapshots().with_resume(true)),
        Ranks::default(),
    );
    assert_eq!(resumed.1, whole.1);
}

/// Pairs whose loss is how far the chosen response trails a margin of 2 nats.
#[derive(Debug)]
struct Trailing;

impl PairLoss for Trailing {
    fn needs(&self) -> pref_losses::Needs {
        pref_losses::Needs::default()
    }

    fn forward(
        &self,
        log_probs: PairLogProbs,
        _: &PairContext,
    ) -> Result<pref_losses::PairOutput, pref_losses::Error> {
        let lead = log_probs.policy_chosen.clone() - log_probs.policy_rejected.clone();
        Ok(pref_losses::PairOutput {
            losses: (lead.neg() + 2.0).clamp_min(0.0),
            chosen_rewards: log_probs.policy_chosen.detach(),
            rejected_rewards: log_probs.policy_rejected.detach(),
        })
    }
}

#[test]
fn a_loss_of_ones_own_trains_and_goes_on_from_its_snapshots_alone() {
    let data = trees(6);
    let settings = TrainingConfig {
        epochs: 4,
        ..settings()
    };
    let train = |identity: &str, snapshots: Option<Snapshots>| {
        let loss = pref_losses::PreferenceLoss::new(Trailing);
        let trainer = PreferenceTrainer::with_loss(settings.clone(), loss, identity)?;
        let trainer = trainer.with_snapshots(snapshots)?;
        let reference = ReferenceLogProbs::absent(&data);
        let mut margins = Vec::new();
        let trained = trainer.train(model(5), &data, &reference, &mut |event| {
            margins.extend(event.preferences().map(|stats| stats.margin));
        })?;
        Ok::<_, eurus_train::Error>((margins, weights(&trained)))
    };
    let (margins, whole) = train("trailing", None).expect("training");
    assert!(margins[margins.len() - 1] > margins[0]);
    let folder = tempfile::tempdir().expect("a folder");
    let snapshots = || {
        Snapshots::new(folder.path())
            .with_every_steps(3)
            .with_keep(9)
    };
    train("trailing", Some(snapshots())).expect("training");
    std::fs::remove_dir_all(folder.path().join("step-00000008")).expect("the last");
    let again = || Some(snapshots().with_resume(true));
    let (_, resumed) = train("trailing", again()).expect("it goes on");
    assert_eq!(resumed, whole);
    let error = train("trailing by 3", again()).expect_err("another loss");
    assert!(
        matches!(error, eurus_train::Error::OtherRun { .. }),
        "{error}"
    );
}
