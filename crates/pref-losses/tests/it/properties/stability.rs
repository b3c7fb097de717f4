//! Values and gradients over the whole range of f32, and other dtypes.

use burn::tensor::{DType, Tensor};
use pref_losses::log_odds;
use pref_losses::log_probs::{IGNORE_INDEX, cross_entropy, next_token_log_probs};
use pref_losses::{
    Divergence, DpoConfig, PairLengths, PairLogProbs, PlackettLuce, PreferenceLossConfig,
    log_sigmoid,
};
use proptest::prelude::*;

use super::support::{configs, forward, pairs, read, tracked, vector};

#[test]
fn log_sigmoid_and_its_gradient_hold_from_1e_minus_8_to_1e4() {
    let sizes = [0.0, 1e-8, 1e-4, 1.0, 15.0, 19.9, 20.1, 50.0, 80.0, 1e3, 1e4];
    let points: Vec<f32> = sizes.iter().flat_map(|&x| [x, -x]).collect();
    let x = tracked(&points);
    let y = log_sigmoid(x.clone());
    let values = read(y.clone());
    let slopes = read(x.grad(&y.sum().backward()).unwrap());
    for (i, &point) in points.iter().enumerate() {
        let x = f64::from(point);
        let value = if x > 0.0 {
            -(-x).exp().ln_1p()
        } else {
            x - x.exp().ln_1p()
        };
        let slope = if x > 0.0 {
            (-x).exp() / (1.0 + (-x).exp())
        } else {
            1.0 / (1.0 + x.exp())
        };
        for (got, want) in [(values[i], value), (slopes[i], slope)] {
            let error = (f64::from(got) - want).abs();
            // 1e-37: below that f32 has no full precision.
            assert!(
                error <= 5e-7 * want.abs() + 1e-37,
                "at {x}: {got} instead of {want}"
            );
        }
    }
}

#[test]
fn log_odds_and_their_gradient_hold_from_1e_minus_30_to_1e4() {
    let sizes = [1e-30f32, 1e-8, 1e-4, 0.5, 1.0, 17.0, 50.0, 1e3, 1e4];
    let points: Vec<f32> = sizes.iter().map(|x| -x).collect();
    let x = tracked(&points);
    let odds = log_odds(x.clone());
    let values = read(odds.clone());
    let slopes = read(x.grad(&odds.sum().backward()).unwrap());
    for (i, &point) in points.iter().enumerate() {
        let x = f64::from(point);
        let complement = -x.exp_m1();
        for (got, want) in [
            (values[i], x - complement.ln()),
            (slopes[i], complement.recip()),
        ] {
            let error = (f64::from(got) - want).abs();
            assert!(
                error <= 5e-7 * want.abs(),
                "at {x}: {got} instead of {want}"
            );
        }
    }
}

/// 1e-8 to 1e4 in size, of either sign.
fn log_ratio() -> impl Strategy<Value = f32> {
    (-8.0f32..=4.0, any::<bool>()).prop_map(|(power, negative)| {
        let size = 10f32.powf(power);
        if negative { -size } else { size }
    })
}

fn assert_finite(beta: f64, chosen: f32, rejected: f32) {
    for config in configs(beta) {
        let (c, r) = (tracked(&[chosen]), tracked(&[rejected]));
        let losses = forward(&config, pairs(c.clone(), r.clone())).losses;
        let value = read(losses.clone())[0];
        let gradients = losses.sum().backward();
        let slope = |leaf: &Tensor<1>| leaf.grad(&gradients).map_or(0.0, |slope| read(slope)[0]);
        for (what, number) in [
            ("loss", value),
            ("chosen", slope(&c)),
            ("rejected", slope(&r)),
        ] {
            assert!(
                number.is_finite(),
                "{config:?} at {chosen}, {rejected}: {what} {number}"
            );
        }
    }
}

#[test]
fn every_loss_is_finite_for_log_ratios_of_1e_minus_8_to_1e4() {
    for size in [0.0f32, 1e-8, 50.0, 87.0, 89.0, 1e3, 1e4] {
        for (chosen, rejected) in [(size, -size), (-size, size), (size, size), (-size, -size)] {
            assert_finite(1.0, chosen, rejected);
        }
    }
}

proptest! {
    #[test]
    fn every_loss_is_finite(chosen in log_ratio(), rejected in log_ratio(), beta in 0.01f64..1.0) {
        assert_finite(beta, chosen, rejected);
    }
}

#[test]
fn forward_kl_keeps_the_order_of_scores_that_are_out_of_range() {
    let dpo = PreferenceLossConfig::Dpo(DpoConfig {
        divergence: Divergence::ForwardKl,
        ..DpoConfig::default()
    });
    // exp(1000) and exp(10000): of both only the order is known in f32.
    let (c, r) = (tracked(&[-1e3, -1e4]), tracked(&[-1e4, -1e3]));
    let losses = forward(&dpo, pairs(c.clone(), r.clone())).losses;
    let values = read(losses.clone());
    assert_eq!(values[0], 0.0);
    assert!(values[1] > 1e36 && values[1].is_finite(), "{values:?}");
    let gradients = losses.sum().backward();
    for leaf in [c, r] {
        assert_eq!(read(leaf.grad(&gradients).unwrap()), [0.0, 0.0]);
    }
    // The same with each divided by a length.
    let per_token = DpoConfig {
        divergence: Divergence::ForwardKl,
        ..DpoConfig::default()
    }
    .init()
    .unwrap()
    .forward_per_token(
        pairs(vector(&[-1e3, -1e4]), vector(&[-1e4, -1e3])),
        PairLengths {
            chosen: vector(&[10.0, 500.0]),
            rejected: vector(&[500.0, 10.0]),
        },
    );
    let values = read(per_token.losses);
    assert_eq!(values[0], 0.0);
    assert!(values[1] > 1e34 && values[1].is_finite(), "{values:?}");
}

#[test]
fn plackett_luce_is_finite_and_right_for_rewards_of_1e4() {
    let rewards = Tensor::<1>::from_floats(
        [1e4, 0.0, -1e4, -1e4, 0.0, 1e4],
        &vector(&[]).device().autodiff(),
    )
    .require_grad();
    let losses = PlackettLuce.forward(rewards.clone().reshape([2, 3]));
    // Ranked as rewarded; ranked the other way round: 2e4 nats for the first choice, 1e4 for the second.
    assert_eq!(read(losses.clone()), [0.0, 3e4]);
    let slopes = read(rewards.grad(&losses.sum().backward()).unwrap());
    assert_eq!(slopes, [0.0, 0.0, 0.0, -1.0, -1.0, 2.0]);
}

#[test]
fn cross_entropy_holds_at_logits_of_1e4() {
    let device = vector(&[]).device().autodiff();
    let logits = Tensor::<3>::from_floats(
        [[[1e4, -1e4, 0.0], [0.0, 1e4, 1e4], [0.0, 0.0, 0.0]]],
        &device,
    )
    .require_grad();
    let labels = Tensor::from_data([[IGNORE_INDEX, 1, 2]], &device);
    let (log_probs, mask) = next_token_log_probs(logits.clone(), labels);
    let loss = cross_entropy(log_probs, mask, None);
    // 2e4 nats for the first token, ln 2 for the second.
    let want = (2e4 + std::f64::consts::LN_2) / 2.0;
    assert!((f64::from(read(loss.clone())[0]) - want).abs() < 1e-3);
    let slopes: Vec<f32> = logits
        .grad(&loss.backward())
        .unwrap()
        .into_data()
        .iter::<f32>()
        .collect();
    assert_eq!(slopes, [0.5, -0.5, 0.0, 0.0, 0.25, -0.25, 0.0, 0.0, 0.0]);
}

#[test]
fn bf16_log_probs_are_computed_in_f32() {
    let round = |tensor: &Tensor<1>| tensor.clone().cast(DType::BF16);
    let exact = |tensor: &Tensor<1>| tensor.clone().cast(DType::BF16).cast(DType::F32);
    let values = pairs(vector(&[1.5, -3.0]), vector(&[0.25, 2.0]));
    let convert = |f: &dyn Fn(&Tensor<1>) -> Tensor<1>| PairLogProbs {
        policy_chosen: f(&values.policy_chosen),
        policy_rejected: f(&values.policy_rejected),
        reference_chosen: f(&values.reference_chosen),
        reference_rejected: f(&values.reference_rejected),
    };
    for config in configs(0.1) {
        let rounded = forward(&config, convert(&round));
        let widened = forward(&config, convert(&exact));
        for (got, want) in [
            (rounded.losses, widened.losses),
            (rounded.chosen_rewards, widened.chosen_rewards),
            (rounded.rejected_rewards, widened.rejected_rewards),
        ] {
            assert_eq!(got.dtype(), DType::F32, "{config:?}");
            assert_eq!(read(got), read(want), "{config:?}");
        }
    }
}
