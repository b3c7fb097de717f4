//! The numbers that trainers log.

use pref_losses::{DpoConfig, PairSums};

use crate::support::{pairs, tracked, vector};

#[test]
fn sums_of_two_batches_are_the_sums_of_the_joined_batch() {
    let dpo = DpoConfig::new().init().unwrap();
    let stats = |chosen: &[f32], rejected: &[f32]| {
        let log_probs = pairs(vector(chosen), vector(rejected));
        PairSums::of(&dpo.forward(log_probs.clone()), &log_probs)
    };
    let whole = stats(&[1.0, -2.0, 4.0], &[0.0, 0.0, 5.0]).read();
    let joined = stats(&[1.0], &[0.0])
        .merge(stats(&[-2.0, 4.0], &[0.0, 5.0]))
        .read();
    assert_eq!((whole.pairs, joined.pairs), (3, 3));
    assert!((whole.loss - joined.loss).abs() < 1e-6);
    assert!((whole.margin - joined.margin).abs() < 1e-6);
    assert!((whole.chosen_log_prob + 19.0).abs() < 1e-5);
    assert!((whole.accuracy - 1.0 / 3.0).abs() < 1e-6);
    let empty = stats(&[], &[]).with_kl(&vector(&[0.5])).read();
    assert_eq!((empty.pairs, empty.loss, empty.kl), (0, 0.0, Some(0.5)));
}

#[test]
fn tracked_tensors_can_be_put_into_sums() {
    let dpo = DpoConfig::new().init().unwrap();
    let log_probs = pairs(tracked(&[1.0]), tracked(&[0.0]));
    let output = dpo.forward(log_probs.clone());
    let stats = PairSums::of(&output, &log_probs).read();
    assert_eq!((stats.pairs, stats.accuracy), (1, 1.0));
    assert!(!output.chosen_rewards.is_require_grad());
}
