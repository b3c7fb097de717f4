//! What the labels of a tree do to the loss of a reward model.

use crate::common::{model, trees};
use eurus_models::RewardModel;
use eurus_train::{RewardTrainer, TrainingConfig, pair_rewards};
use pref_losses::{BradleyTerryConfig, RewardLossConfig, UltraInteractRewardConfig};
use token_forest::{Error, Group, Label, TrainingTree};

/// Several trees to a forest, and several forests.
fn settings() -> TrainingConfig {
    TrainingConfig {
        token_budget: 80,
        ..TrainingConfig::default()
    }
}

fn loss_of(config: &RewardLossConfig, trees: &[TrainingTree]) -> f64 {
    let trainer = RewardTrainer::new(settings(), config).expect("valid settings");
    let model = RewardModel::from_decoder(model(4));
    trainer.evaluate(&model, trees).expect("a loss").loss
}

fn labelled(label: impl Fn(usize, usize) -> Label) -> Vec<TrainingTree> {
    trees(9)
        .into_iter()
        .enumerate()
        .map(|(index, tree)| {
            tree.with_labels(|pair, _| label(index, pair))
                .expect("labels that fit")
        })
        .collect()
}

/// `-log s(x)`.
fn negative_log_sigmoid(x: f64) -> f64 {
    (-x).exp().ln_1p()
}

#[test]
fn direct_rewards_margins_and_centering_follow_the_labels_pair_by_pair() {
    let margin = |tree: usize, pair: usize| 0.25 * (tree + 2 * pair) as f32;
    let data = labelled(|tree, pair| Label::Pair {
        rank_only: tree % 3 == 0,
        margin: match tree % 2 {
            0 => margin(tree, pair),
            _ => 0.0,
        },
    });
    let model = RewardModel::from_decoder(model(4));
    let rewards = pair_rewards(&model, &data, &settings()).expect("rewards");
    let expected: f64 = rewards
        .iter()
        .enumerate()
        .map(|(place, rewards)| {
            let (tree, pair) = (place / 2, place % 2);
            let (chosen, rejected) = (f64::from(rewards.chosen), f64::from(rewards.rejected));
            let lead = if tree % 2 == 0 {
                margin(tree, pair).into()
            } else {
                0.0
            };
            let ranked = negative_log_sigmoid(chosen - rejected - lead);
            let direct = negative_log_sigmoid(chosen) + negative_log_sigmoid(-rejected);
            let direct = if tree % 3 == 0 { 0.0 } else { 0.5 * direct };
            ranked + direct + 0.1 * (chosen + rejected).powi(2)
        })
        .sum::<f64>()
        / rewards.len() as f64;
    let config = UltraInteractRewardConfig {
        direct_weight: 0.5,
        center_coefficient: 0.1,
    };
    let loss = loss_of(&RewardLossConfig::UltraInteract(config), &data);
    assert!((loss - expected).abs() < 1e-5, "{loss} and {expected}");
}

#[test]
fn pairs_that_are_only_ranked_have_the_loss_of_bradley_terry() {
    let ranked = labelled(|_, _| Label::Pair {
        rank_only: true,
        margin: 0.0,
    });
    let both = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
    let ranking = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
    assert_eq!(loss_of(&both, &ranked), loss_of(&ranking, &trees(9)));
    assert!(loss_of(&both, &trees(9)) > loss_of(&both, &ranked) + 0.5);
}

#[test]
fn margins_that_are_no_numbers_are_refused() {
    let label = |pair, _: &Group| Label::Pair {
        rank_only: false,
        margin: [1.0, f32::NAN][pair],
    };
    let refused = trees(1).remove(0).with_labels(label);
    assert!(matches!(refused, Err(Error::BadGroup { group: 1, .. })));
}
