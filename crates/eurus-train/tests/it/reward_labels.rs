//! What the labels of a tree do to the loss of a reward model.

use crate::common::{model, trees};
use eurus_models::RewardModel;
use eurus_train::{Error, Optimization, PairedTree, RewardLabels, RewardTrainer, pair_rewards};
use pref_losses::{BradleyTerryConfig, RewardLossConfig, UltraInteractRewardConfig};

/// Several trees to a forest, and several forests.
fn settings() -> Optimization {
    Optimization {
        token_budget: 80,
        ..Optimization::default()
    }
}

fn loss_of(config: &RewardLossConfig, trees: &[PairedTree]) -> f64 {
    let trainer = RewardTrainer::new(settings(), config).expect("valid settings");
    let model = RewardModel::from_decoder(model(4));
    trainer.held_out(&model, trees).expect("a loss").loss
}

fn labelled(label: impl Fn(usize) -> RewardLabels) -> Vec<PairedTree> {
    trees(9)
        .into_iter()
        .enumerate()
        .map(|(index, tree)| tree.with_labels(label(index)).expect("labels that fit"))
        .collect()
}

/// `-log s(x)`.
fn negative_log_sigmoid(x: f64) -> f64 {
    (-x).exp().ln_1p()
}

#[test]
fn direct_rewards_margins_and_centering_follow_the_labels_pair_by_pair() {
    let margin = |tree: usize, pair: usize| 0.25 * (tree + 2 * pair) as f32;
    let data = labelled(|tree| RewardLabels {
        ranked_alone: tree % 3 == 0,
        margins: if tree % 2 == 0 {
            vec![margin(tree, 0), margin(tree, 1)]
        } else {
            Vec::new()
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
    let config = UltraInteractRewardConfig::new()
        .with_direct_weight(0.5)
        .with_center_coefficient(0.1);
    let loss = loss_of(&RewardLossConfig::UltraInteract(config), &data);
    assert!((loss - expected).abs() < 1e-5, "{loss} and {expected}");
}

#[test]
fn trees_that_are_ranked_alone_have_the_loss_of_bradley_terry() {
    let ranked = labelled(|_| RewardLabels {
        ranked_alone: true,
        margins: Vec::new(),
    });
    let both = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::new());
    let ranking = RewardLossConfig::BradleyTerry(BradleyTerryConfig::new());
    assert_eq!(loss_of(&both, &ranked), loss_of(&ranking, &trees(9)));
    assert!(loss_of(&both, &trees(9)) > loss_of(&both, &ranked) + 0.5);
}

#[test]
fn margins_that_do_not_fit_are_refused() {
    for margins in [vec![1.0], vec![1.0, f32::NAN]] {
        let labels = RewardLabels {
            ranked_alone: false,
            margins,
        };
        let refused = trees(1).remove(0).with_labels(labels);
        assert!(matches!(refused, Err(Error::BadPair { pair: 1, .. })));
    }
}
