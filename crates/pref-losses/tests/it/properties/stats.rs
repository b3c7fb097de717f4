//! The numbers that trainers log.

use burn::tensor::{Bool, Tensor};
use pref_losses::{
    BcoConfig, DpoConfig, PreferenceSums, UnpairedContext, UnpairedLogProbs, UnpairedLossConfig,
};

use super::support::{pairs, tracked, vector};

#[test]
fn sums_of_two_batches_are_the_sums_of_the_joined_batch() {
    let dpo = DpoConfig::default().init().unwrap();
    let stats = |chosen: &[f32], rejected: &[f32]| {
        let log_probs = pairs(vector(chosen), vector(rejected));
        PreferenceSums::of_pairs(&dpo.forward(log_probs.clone()), &log_probs)
    };
    let whole = stats(&[1.0, -2.0, 4.0], &[0.0, 0.0, 5.0]).read();
    let joined = stats(&[1.0], &[0.0])
        .merge(stats(&[-2.0, 4.0], &[0.0, 5.0]))
        .read();
    assert_eq!((whole.groups, joined.groups), (3, 3));
    assert!((whole.loss - joined.loss).abs() < 1e-6);
    assert!((whole.margin - joined.margin).abs() < 1e-6);
    assert!((whole.chosen_log_prob.unwrap() + 19.0).abs() < 1e-5);
    assert!((whole.accuracy.unwrap() - 1.0 / 3.0).abs() < 1e-6);
    let empty = stats(&[], &[]).with_kl(&vector(&[0.5])).read();
    assert_eq!((empty.groups, empty.loss, empty.kl), (0, 0.0, Some(0.5)));
}

#[test]
fn tracked_tensors_can_be_put_into_sums() {
    let dpo = DpoConfig::default().init().unwrap();
    let log_probs = pairs(tracked(&[1.0]), tracked(&[0.0]));
    let output = dpo.forward(log_probs.clone());
    let stats = PreferenceSums::of_pairs(&output, &log_probs).read();
    assert_eq!((stats.groups, stats.accuracy), (1, Some(1.0)));
    assert!(!output.chosen_rewards.is_require_grad());
}

#[test]
fn unpaired_means_are_over_the_responses_of_each_verdict_however_they_are_split() {
    let bco = UnpairedLossConfig::Bco(BcoConfig { beta: 0.5 });
    let bco = bco.init().unwrap();
    let sums = |policy: &[f32], verdicts: &[bool]| {
        let log_probs = UnpairedLogProbs {
            policy: vector(policy),
            reference: vector(policy).zeros_like(),
            desirable: Tensor::<1, Bool>::from_data(verdicts, &vector(policy).device()),
        };
        let output = bco.forward(log_probs.clone(), &UnpairedContext::default());
        PreferenceSums::of_verdicts(&output.unwrap(), &log_probs).with_kl(&vector(&[0.5]))
    };
    let whole = sums(&[1.0, -2.0, 4.0, -6.0], &[true, false, true, false]).read();
    assert_eq!((whole.groups, whole.chosen, whole.rejected), (4, 2, 2));
    assert_eq!(
        (whole.chosen_log_prob, whole.rejected_log_prob),
        (Some(2.5), Some(-4.0))
    );
    assert_eq!(
        (whole.margin, whole.accuracy, whole.kl),
        (3.25, None, Some(0.5))
    );

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
        assert_eq!(joined.chosen_reward, whole.chosen_reward);
        assert_eq!(joined.rejected_log_prob, whole.rejected_log_prob);
    }
    let one_verdict = parts().0.read();
    assert_eq!((one_verdict.margin, one_verdict.has_both()), (0.0, false));
}
