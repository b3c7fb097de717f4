//! Laws of the losses over K scored responses.

use burn::tensor::{Device, Tensor, TensorData};
use pref_losses::{
    DpoConfig, LambdaRankConfig, NcaKConfig, PlackettLuce, PlackettLuceDpoConfig, ResponseLogProbs,
    ScoredLoss, ScoredLossConfig,
};
use proptest::prelude::*;

use super::support::{assert_close, pairs, read, vector};

const BETA: f64 = 0.3;

fn ranking() -> ScoredLossConfig {
    ScoredLossConfig::PlackettLuce(PlackettLuceDpoConfig { beta: BETA })
}

fn lambda_rank() -> ScoredLossConfig {
    ScoredLossConfig::LambdaRank(LambdaRankConfig { beta: BETA })
}

fn row(values: &[f32]) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [1, values.len()]);
    Tensor::from_data(data, &Device::flex().autodiff())
}

/// Loss and slopes along the log-ratios of one prompt.
fn loss_and_slopes(loss: &ScoredLoss, ratios: &[f32], scores: &[f32]) -> (f32, Vec<f32>) {
    let policy = row(ratios).require_grad();
    let output = loss.forward(ResponseLogProbs {
        policy: policy.clone(),
        reference: row(&vec![0.0; ratios.len()]),
        scores: row(scores),
    });
    let value = read(output.losses.clone())[0];
    let slopes = policy.grad(&output.losses.sum().backward()).unwrap();
    (value, slopes.into_data().iter::<f32>().collect())
}

/// Log-ratios and scores of several responses, scores in whole numbers so that some are equal.
fn responses() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let response = ((-64i8..64), (-3i8..3));
    prop::collection::vec(response, 1..8).prop_map(|responses| {
        let ratio = |(ratio, _): &(i8, i8)| f32::from(*ratio) / 8.0;
        let score = |(_, score): &(i8, i8)| f32::from(*score);
        (
            responses.iter().map(ratio).collect(),
            responses.iter().map(score).collect(),
        )
    })
}

proptest! {
    #[test]
    fn the_order_in_which_responses_are_given_does_not_count(
        (ratios, scores) in responses(),
        rotation in 0usize..8,
    ) {
        let rotate = |values: &[f32]| {
            let mut values = values.to_vec();
            values.rotate_left(rotation % ratios.len());
            values
        };
        for config in [ranking(), lambda_rank()] {
            let loss = config.init().unwrap();
            let (value, slopes) = loss_and_slopes(&loss, &ratios, &scores);
            let (rotated, moved) = loss_and_slopes(&loss, &rotate(&ratios), &rotate(&scores));
            assert_close(&[rotated], &[value], config.name());
            assert_close(&moved, &rotate(&slopes), config.name());
        }
    }

    #[test]
    fn weights_of_swaps_do_not_see_the_scale_of_the_scores(
        (ratios, scores) in responses(),
        scale in 0.25f32..100.0,
        shift in -50.0f32..50.0,
    ) {
        let loss = lambda_rank().init().unwrap();
        let scaled: Vec<f32> = scores.iter().map(|score| scale * score + shift).collect();
        // Scores that were equal must not be told apart by rounding, nor the others be joined.
        let (value, _) = loss_and_slopes(&loss, &ratios, &scores);
        let (same, _) = loss_and_slopes(&loss, &ratios, &scaled);
        prop_assert!((value - same).abs() <= 2e-5 * value.max(1.0), "{} {}", value, same);
    }

    #[test]
    fn two_responses_are_a_pair_of_dpo(better in -20.0f32..20.0, worse in -20.0f32..20.0) {
        let dpo = DpoConfig { beta: BETA, ..DpoConfig::default() }.init().unwrap();
        let want = read(dpo.forward(pairs(vector(&[better]), vector(&[worse]))).losses);
        for config in [ranking(), lambda_rank()] {
            let loss = config.init().unwrap();
            let (value, _) = loss_and_slopes(&loss, &[worse, better], &[1.0, 4.0]);
            assert_close(&[value], &want, config.name());
        }
    }

    #[test]
    fn without_ties_the_order_of_scores_is_that_of_a_reward_models_ranking(
        ratios in prop::collection::vec(-8.0f32..8.0, 1..8),
    ) {
        let loss = ranking().init().unwrap();
        // Best last.
        let scores: Vec<f32> = (0..ratios.len()).map(|rank| rank as f32).collect();
        let (value, _) = loss_and_slopes(&loss, &ratios, &scores);
        let best_first: Vec<f32> = ratios.iter().rev().map(|ratio| BETA as f32 * ratio).collect();
        let want = PlackettLuce.forward(row(&best_first));
        assert_close(&[value], &read(want), "ranking");
    }

    #[test]
    fn equal_scores_of_all_pull_at_nothing(ratios in prop::collection::vec(-8.0f32..8.0, 1..8)) {
        for config in [ranking(), lambda_rank()] {
            let scores = vec![2.5; ratios.len()];
            let (value, slopes) = loss_and_slopes(&config.init().unwrap(), &ratios, &scores);
            prop_assert_eq!(value, 0.0);
            prop_assert!(slopes.iter().all(|slope| *slope == 0.0));
        }
    }

    #[test]
    fn the_best_response_is_raised_and_the_worst_lowered((ratios, scores) in responses()) {
        for config in [ranking(), lambda_rank()] {
            let (_, slopes) = loss_and_slopes(&config.init().unwrap(), &ratios, &scores);
            let best = scores.iter().fold(f32::MIN, |max, score| max.max(*score));
            let worst = scores.iter().fold(f32::MAX, |min, score| min.min(*score));
            for (slope, score) in slopes.iter().zip(&scores) {
                prop_assert!(*score != best || *slope <= 0.0, "{}", config.name());
                prop_assert!(*score != worst || *slope >= 0.0, "{}", config.name());
            }
        }
    }
}

#[test]
fn at_the_reference_the_weights_of_swaps_raise_the_best_most() {
    let loss = lambda_rank().init().unwrap();
    let (value, slopes) = loss_and_slopes(&loss, &[0.0; 4], &[1.0, 3.0, 0.0, 2.0]);
    assert!((value - std::f32::consts::LN_2).abs() < 1e-6);
    assert!(slopes[1] < slopes[3], "{slopes:?}");
    assert!(slopes[2] > slopes[0], "{slopes:?}");
}

#[test]
fn equal_responses_are_treated_alike() {
    for config in [ranking(), lambda_rank()] {
        let loss = config.init().unwrap();
        let (_, slopes) = loss_and_slopes(&loss, &[1.0, -2.0, 1.0], &[5.0, 3.0, 5.0]);
        assert_eq!(slopes[0], slopes[2], "{}", config.name());
    }
}

#[test]
fn rankings_of_log_ratios_of_1e4_are_finite_and_right() {
    let ratios = [1e4, 0.0, -1e4];
    for config in [ranking(), lambda_rank()] {
        let loss = config.init().unwrap();
        let (ranked, _) = loss_and_slopes(&loss, &ratios, &[2.0, 1.0, 0.0]);
        assert_eq!(ranked, 0.0);
        let (reversed, slopes) = loss_and_slopes(&loss, &ratios, &[0.0, 1.0, 2.0]);
        assert!(reversed > 1e3 && reversed.is_finite());
        assert!(slopes.iter().all(|slope| slope.is_finite()));
        assert!(slopes[2] < 0.0 && slopes[0] > 0.0);
    }
}

#[test]
fn rewards_of_scored_responses_carry_no_gradient() {
    let nca = ScoredLossConfig::NcaK(NcaKConfig::default());
    for config in [nca, ranking(), lambda_rank()] {
        let policy = row(&[1.0, 2.0]).require_grad();
        let output = config.init().unwrap().forward(ResponseLogProbs {
            policy,
            reference: row(&[0.0, 0.0]),
            scores: row(&[0.0, 1.0]),
        });
        assert!(!output.rewards.is_require_grad());
    }
}
