//! Losses of whole batches: sums, sorting, empty ones.

use burn::tensor::{Bool, Device, Tensor};
use pref_losses::{
    AotConfig, AotPairing, DpoConfig, Error, IpoConfig, KlEstimate, KtoConfig, PairContext,
    PairLengths, PreferenceLossConfig, SftNormalization, SumConfig, UnpairedContext,
    UnpairedLogProbs, UnpairedLossConfig,
};
use proptest::prelude::*;

use super::support::{assert_close, configs, context, forward, pairs, read, tracked, vector};

#[test]
fn batches_without_pairs_have_no_losses() {
    for config in configs(0.1) {
        let output = forward(&config, pairs(vector(&[]), vector(&[])));
        for values in [
            output.losses,
            output.chosen_rewards,
            output.rejected_rewards,
        ] {
            assert_eq!(values.dims(), [0], "{config:?}");
        }
    }
    for text in [
        r#"{"type": "kto"}"#,
        r#"{"type": "bco"}"#,
        r#"{"type": "apo_zero"}"#,
    ] {
        let config: UnpairedLossConfig = serde_json::from_str(text).unwrap();
        let nothing = UnpairedLogProbs {
            policy: vector(&[]),
            reference: vector(&[]),
            desirable: Tensor::<1, Bool>::empty([0], &Device::flex()),
        };
        let context = UnpairedContext {
            kl: Some(vector(&[0.0])),
            ..UnpairedContext::default()
        };
        let output = config.init().unwrap().forward(nothing, &context).unwrap();
        assert_eq!(output.losses.dims(), [0], "{text}");
    }
}

#[test]
fn a_sum_of_one_loss_is_that_loss() {
    for config in configs(0.1) {
        if matches!(config, PreferenceLossConfig::Sum(_)) {
            continue;
        }
        let log_probs = || pairs(vector(&[1.0, -4.0, 0.5]), vector(&[0.0, 2.0, -3.0]));
        let sum = SumConfig::default().with_term(1.0, config.clone());
        let sum = PreferenceLossConfig::Sum(sum);
        assert_eq!(sum.init().unwrap().needs(), config.init().unwrap().needs());
        let (got, want) = (forward(&sum, log_probs()), forward(&config, log_probs()));
        assert_eq!(read(got.losses), read(want.losses), "{config:?}");
        assert_eq!(
            read(got.chosen_rewards),
            read(want.chosen_rewards),
            "{config:?}"
        );
    }
}

#[test]
fn the_sft_term_is_a_mean_over_tokens_or_over_responses() {
    let dpo = || PreferenceLossConfig::Dpo(DpoConfig::default());
    let losses = |normalization, mean_chosen_tokens| {
        let sum = SumConfig {
            sft_weight: 2.0,
            sft_normalization: normalization,
            ..SumConfig::default().with_term(1.0, dpo())
        };
        let context = PairContext {
            lengths: Some(PairLengths {
                chosen: vector(&[5.0, 15.0]),
                rejected: vector(&[1.0, 1.0]),
            }),
            mean_chosen_tokens,
            ..PairContext::default()
        };
        // Policy log-probs of the chosen responses: -10 and -60.
        let log_probs = pairs(vector(&[10.0, -40.0]), vector(&[0.0, 0.0]));
        let loss = sum.init().unwrap();
        let plain = dpo()
            .init()
            .unwrap()
            .forward(log_probs.clone(), &context)
            .unwrap();
        let whole = loss.forward(log_probs, &context).unwrap();
        read((whole.losses - plain.losses).mean())
    };
    let tokens = losses(SftNormalization::Tokens, None);
    assert_close(&tokens, &[2.0 * 70.0 / 20.0], "tokens");
    let of_step = losses(SftNormalization::Tokens, Some(35.0));
    assert_close(&of_step, &[2.0 * 35.0 / 35.0], "tokens of a step");
    let responses = losses(SftNormalization::Responses, Some(35.0));
    assert_close(&responses, &[2.0 * (2.0 + 4.0) / 2.0], "responses");
}

#[test]
fn sums_that_cannot_be_are_errors() {
    let dpo = PreferenceLossConfig::Dpo(DpoConfig::default());
    let sum = SumConfig::default().with_term(1.0, dpo.clone());
    let nested = SumConfig::default().with_term(1.0, PreferenceLossConfig::Sum(sum.clone()));
    let kto = |kl| {
        PreferenceLossConfig::Kto(KtoConfig {
            kl,
            ..KtoConfig::default()
        })
    };
    let torn = SumConfig::default()
        .with_term(1.0, kto(KlEstimate::Mean))
        .with_term(1.0, kto(KlEstimate::NonZeroMean));
    for config in [SumConfig::default(), nested, torn] {
        let error = config.init().unwrap_err();
        assert!(matches!(error, Error::InvalidSum { .. }), "{error}");
    }
    assert!(sum.clone().with_term(0.0, dpo).init().is_err());
    assert!(
        SumConfig {
            sft_weight: -1.0,
            ..sum
        }
        .init()
        .is_err()
    );
    let agreed = SumConfig::default()
        .with_term(1.0, kto(KlEstimate::Zero))
        .with_term(1.0, kto(KlEstimate::Mean));
    let agreed = PreferenceLossConfig::Sum(agreed).init().unwrap();
    assert!(agreed.needs().kl);
    assert!(agreed.kl(vector(&[-1.0]), vector(&[-2.0])).is_some());
}

#[test]
fn aot_pulls_each_response_by_its_rank() {
    // Quantiles: chosen 1, 5 against rejected 2, 3.
    let (chosen, rejected) = (tracked(&[5.0, 1.0]), tracked(&[2.0, 3.0]));
    let aot = AotConfig {
        beta: 1.0,
        pairing: AotPairing::Unpaired,
        ..AotConfig::default()
    };
    let losses = aot
        .init()
        .unwrap()
        .forward(pairs(chosen.clone(), rejected.clone()))
        .losses;
    let softplus = |x: f32| x.exp().ln_1p();
    assert_close(
        &read(losses.clone()),
        &[softplus(1.0), softplus(-2.0)],
        "sorted",
    );
    let gradients = losses.sum().backward();
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let (low, high) = (sigmoid(1.0), sigmoid(-2.0));
    assert_close(
        &read(chosen.grad(&gradients).unwrap()),
        &[-high, -low],
        "chosen",
    );
    assert_close(
        &read(rejected.grad(&gradients).unwrap()),
        &[low, high],
        "rejected",
    );
}

/// Distinct values, so that sorting has no ties.
fn batch() -> impl Strategy<Value = Vec<(f32, f32)>> {
    prop::collection::vec((-30.0f32..30.0, -30.0f32..30.0), 1..12)
}

proptest! {
    #[test]
    fn sums_are_linear(batch in batch(), first in 0.1f64..3.0, second in 0.1f64..3.0) {
        let (a, b): (Vec<f32>, Vec<f32>) = batch.into_iter().unzip();
        let dpo = PreferenceLossConfig::Dpo(DpoConfig::default());
        let ipo = PreferenceLossConfig::Ipo(IpoConfig { beta: 0.5, ..IpoConfig::default() });
        let sum = SumConfig::default().with_term(first, dpo.clone()).with_term(second, ipo.clone());
        let losses = |config: &PreferenceLossConfig| {
            read(forward(config, pairs(vector(&a), vector(&b))).losses)
        };
        let want: Vec<f32> = losses(&dpo)
            .iter()
            .zip(losses(&ipo))
            .map(|(x, y)| first as f32 * x + second as f32 * y)
            .collect();
        assert_close(&losses(&PreferenceLossConfig::Sum(sum)), &want, "sum");
    }

    #[test]
    fn aot_does_not_see_the_order_of_the_batch(batch in batch(), rotation in 0usize..12) {
        let (a, b): (Vec<f32>, Vec<f32>) = batch.iter().copied().unzip();
        let rotate = |values: &[f32]| {
            let mut values = values.to_vec();
            values.rotate_left(rotation % batch.len());
            values
        };
        for pairing in [AotPairing::Paired, AotPairing::Unpaired] {
            let aot = AotConfig { pairing, ..AotConfig::default() }.init().unwrap();
            let losses = |a: &[f32], b: &[f32]| {
                read(aot.forward(pairs(vector(a), vector(b))).losses)
            };
            let want = losses(&a, &b);
            prop_assert_eq!(&losses(&rotate(&a), &rotate(&b)), &want);
            if pairing == AotPairing::Unpaired {
                // Nor which rejected response belongs to which chosen one.
                prop_assert_eq!(&losses(&a, &rotate(&b)), &want);
            }
        }
    }

    #[test]
    fn losses_of_pairs_do_not_depend_on_their_batch(batch in batch()) {
        for config in configs(0.1) {
            use PreferenceLossConfig::{Aot, KtoPair, Sum};
            if matches!(config, Aot(_) | KtoPair(_) | Sum(_)) {
                continue;
            }
            let (a, b): (Vec<f32>, Vec<f32>) = batch.iter().copied().unzip();
            let whole = read(forward(&config, pairs(vector(&a), vector(&b))).losses);
            let loss = config.init().unwrap();
            for (i, &whole) in whole.iter().enumerate() {
                let all = context(batch.len()).lengths.unwrap();
                let alone = PairContext {
                    lengths: Some(PairLengths {
                        chosen: all.chosen.narrow(0, i, 1),
                        rejected: all.rejected.narrow(0, i, 1),
                    }),
                    ..context(1)
                };
                let alone = loss.forward(pairs(vector(&a[i..=i]), vector(&b[i..=i])), &alone);
                assert_close(&read(alone.unwrap().losses), &[whole], config.name());
            }
        }
    }
}
