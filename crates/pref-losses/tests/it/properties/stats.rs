//! The numbers that trainers log.

use burn::tensor::{Bool, Tensor};
use pref_losses::{
    BcoConfig, DpoConfig, PairSums, UnpairedContext, UnpairedLogProbs, UnpairedLossConfig,
    UnpairedSums,
};

use super::support::{pairs, tracked, vector};

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

#[test]
fn unpaired_means_are_over_the_responses_of_each_verdict_however_they_are_split() {
    let bco = UnpairedLossConfig::Bco(BcoConfig::new().with_beta(0.5));
    let bco = bco.init().unwrap();
    let sums = |policy: &[f32], verdicts: &[bool]| {
        let log_probs = UnpairedLogProbs {
            policy: vector(policy),
            reference: vector(policy).zeros_like(),
            desirable: Tensor::<1, Bool>::from_data(verdicts, &vector(policy).device()),
        };
        let output = bco.forward(log_probs.clone(), &UnpairedContext::default());
        UnpairedSums::of(&output.unwrap(), &log_probs).with_kl(&vector(&[0.5]))
    };
    let whole = sums(&[1.0, -2.0, 4.0, -6.0], &[true, false, true, false]).read();
    assert_eq!(
        (whole.responses, whole.desirable, whole.undesirable()),
        (4, 2, 2)
    );
    assert_eq!(
        (whole.desirable_log_prob, whole.undesirable_log_prob),
        (2.5, -4.0)
    );
    assert_eq!((whole.margin(), whole.kl), (Some(3.25), Some(0.5)));

    let parts = || {
        (
            sums(&[1.0], &[true]),
            sums(&[-2.0, 4.0, -6.0], &[false, true, false]),
        )
    };
    let (a, b) = parts();
    let on_device = a.merge(b).read();
    let (a, b) = parts();
    let after_reading = a.read().merge(b.read());
    for joined in [on_device, after_reading] {
        assert!((joined.loss - whole.loss).abs() < 1e-6);
        assert_eq!(joined.desirable_reward, whole.desirable_reward);
        assert_eq!(joined.undesirable_log_prob, whole.undesirable_log_prob);
    }
    assert_eq!(parts().0.read().margin(), None);
}
