//! Laws of the losses: symmetry, fixed points, monotony, gradients, stability, configuration.

use burn::tensor::{Bool, DType, Device, Tensor};
use pref_losses::{
    BradleyTerryConfig, DpoConfig, Error, HingeConfig, IpoConfig, KlEstimate, KtoConfig,
    LabelSmoothing, Ldr, NcaConfig, NcaKConfig, PairContext, PairLogProbs, PairSums,
    PreferenceLoss, PreferenceLossConfig, ResponseLogProbs, RewardLossConfig,
    UltraInteractRewardConfig, log_sigmoid,
};
use proptest::prelude::*;
use std::f32::consts::LN_2;

fn vector(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex())
}

fn tracked(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex().autodiff()).require_grad()
}

fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Pairs with the given log-ratios, on top of a reference of -20 nats.
fn pairs(chosen: Tensor<1>, rejected: Tensor<1>) -> PairLogProbs {
    let reference = chosen.zeros_like().sub_scalar(20.0);
    PairLogProbs {
        policy_chosen: chosen - 20.0,
        policy_rejected: rejected - 20.0,
        reference_chosen: reference.clone(),
        reference_rejected: reference,
    }
}

fn configs(beta: f64) -> Vec<PreferenceLossConfig> {
    let dpo = DpoConfig::new().with_beta(beta);
    vec![
        PreferenceLossConfig::Dpo(dpo.clone()),
        PreferenceLossConfig::Dpo(dpo.clone().with_label_smoothing(0.2)),
        PreferenceLossConfig::Dpo(
            dpo.with_label_smoothing(0.2)
                .with_smoothing(LabelSmoothing::Robust),
        ),
        PreferenceLossConfig::Ipo(IpoConfig::new().with_beta(beta)),
        PreferenceLossConfig::Hinge(HingeConfig::new().with_beta(beta)),
        PreferenceLossConfig::Nca(NcaConfig::new().with_beta(beta)),
        PreferenceLossConfig::Kto(
            KtoConfig::new()
                .with_beta(beta)
                .with_desirable_weight(1.33)
                .with_kl(KlEstimate::Zero),
        ),
    ]
}

/// Loss of one pair with these log-ratios.
fn loss_at(loss: &PreferenceLoss, chosen: f32, rejected: f32) -> f32 {
    let log_probs = pairs(vector(&[chosen]), vector(&[rejected]));
    read(
        loss.forward(log_probs, &PairContext::default())
            .unwrap()
            .losses,
    )[0]
}

#[test]
fn at_the_reference_dpo_is_ln_2_and_nca_twice_that() {
    let zeros = || pairs(vector(&[0.0; 3]), vector(&[0.0; 3]));
    for beta in [0.01, 0.1, 1.0] {
        let dpo = DpoConfig::new().with_beta(beta).init().unwrap();
        let nca = NcaConfig::new().with_beta(beta).init().unwrap();
        assert!(
            read(dpo.forward(zeros()).losses)
                .iter()
                .all(|loss| (loss - LN_2).abs() < 1e-6)
        );
        assert!(
            read(nca.forward(zeros()).losses)
                .iter()
                .all(|loss| (loss - 2.0 * LN_2).abs() < 1e-6)
        );
    }
}

#[test]
fn at_the_reference_dpo_pulls_with_half_of_beta() {
    let (chosen, rejected) = (tracked(&[0.0]), tracked(&[0.0]));
    let dpo = DpoConfig::new().with_beta(0.1).init().unwrap();
    let output = dpo.forward(pairs(chosen.clone(), rejected.clone()));
    let gradients = output.losses.sum().backward();
    assert!((read(chosen.grad(&gradients).unwrap())[0] + 0.05).abs() < 1e-7);
    assert!((read(rejected.grad(&gradients).unwrap())[0] - 0.05).abs() < 1e-7);
}

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
fn every_loss_is_finite_for_log_ratios_up_to_1e4() {
    let sizes = [1e-8f32, 50.0, 1e3, 1e4];
    for config in configs(1.0) {
        let loss = config.init().unwrap();
        for &a in &sizes {
            for (chosen, rejected) in [(a, -a), (-a, a), (a, a), (-a, -a)] {
                let (c, r) = (tracked(&[chosen]), tracked(&[rejected]));
                let losses = loss
                    .forward(pairs(c.clone(), r.clone()), &PairContext::default())
                    .unwrap()
                    .losses;
                let value = read(losses.clone())[0];
                let gradients = losses.sum().backward();
                let slopes = [c.grad(&gradients).unwrap(), r.grad(&gradients).unwrap()];
                assert!(
                    value.is_finite(),
                    "{config:?} at {chosen}, {rejected}: {value}"
                );
                for slope in slopes.map(|slope| read(slope)[0]) {
                    assert!(
                        slope.is_finite(),
                        "{config:?} at {chosen}, {rejected}: {slope}"
                    );
                }
            }
        }
    }
}

#[test]
fn bf16_log_probs_are_computed_in_f32() {
    let round = |tensor: Tensor<1>| tensor.cast(DType::BF16);
    let exact = |tensor: Tensor<1>| tensor.cast(DType::BF16).cast(DType::F32);
    let values = pairs(vector(&[1.5, -3.0]), vector(&[0.25, 2.0]));
    let convert = |f: &dyn Fn(Tensor<1>) -> Tensor<1>| PairLogProbs {
        policy_chosen: f(values.policy_chosen.clone()),
        policy_rejected: f(values.policy_rejected.clone()),
        reference_chosen: f(values.reference_chosen.clone()),
        reference_rejected: f(values.reference_rejected.clone()),
    };
    for config in configs(0.1) {
        let loss = config.init().unwrap();
        let output = loss
            .forward(convert(&round), &PairContext::default())
            .unwrap();
        assert_eq!(output.losses.dtype(), DType::F32);
        assert_eq!(
            read(output.losses),
            read(
                loss.forward(convert(&exact), &PairContext::default())
                    .unwrap()
                    .losses
            )
        );
    }
}

#[test]
fn kto_without_its_kl_is_an_error() {
    let config = PreferenceLossConfig::Kto(KtoConfig::new());
    let loss = config.init().unwrap();
    assert!(loss.needs().kl);
    let log_probs = pairs(vector(&[1.0]), vector(&[0.0]));
    assert_eq!(
        loss.forward(log_probs, &PairContext::default())
            .unwrap_err(),
        Error::MissingKl
    );
}

#[test]
fn two_responses_with_one_hot_weights_are_a_pair() {
    let device = Device::flex();
    let config = NcaKConfig::new().with_beta(0.3).with_temperature(1e-4);
    let responses = || ResponseLogProbs {
        policy: Tensor::from_floats([[-18.0, -23.0]], &device),
        reference: Tensor::from_floats([[-20.0, -20.0]], &device),
        scores: Tensor::from_floats([[1.0, 0.0]], &device),
    };
    let pair = || pairs(vector(&[2.0]), vector(&[-3.0]));
    let nca = NcaConfig::new()
        .with_beta(0.3)
        .init()
        .unwrap()
        .forward(pair());
    let dpo = DpoConfig::new()
        .with_beta(0.3)
        .init()
        .unwrap()
        .forward(pair());
    let nca_k = config.init_nca().unwrap().forward(responses());
    let info_nca = config.init_info_nca().unwrap().forward(responses());
    assert!((read(nca.losses)[0] - read(nca_k.losses)[0]).abs() < 1e-6);
    assert!((read(dpo.losses)[0] - read(info_nca.losses)[0]).abs() < 1e-6);
}

#[test]
fn ultra_interact_is_bradley_terry_plus_ldr_where_asked() {
    let (chosen, rejected) = (vector(&[0.3, -1.2]), vector(&[0.9, -2.0]));
    let rows = Tensor::<1, Bool>::from_data([true, false], &Device::flex());
    let both = UltraInteractRewardConfig::new().init().unwrap();
    let ranked = read(
        BradleyTerryConfig::new()
            .init()
            .unwrap()
            .forward(chosen.clone(), rejected.clone()),
    );
    let direct = read(Ldr.forward(chosen.clone(), rejected.clone()));
    let mixed = read(both.forward_mixed(chosen.clone(), rejected.clone(), rows));
    assert!((mixed[0] - ranked[0] - direct[0]).abs() < 1e-6);
    assert_eq!(mixed[1], ranked[1]);
    assert!((read(both.forward(chosen, rejected))[1] - ranked[1] - direct[1]).abs() < 1e-6);
}

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
fn numbers_out_of_range_are_errors_that_name_the_field() {
    let bad = [
        PreferenceLossConfig::Dpo(DpoConfig::new().with_beta(0.0)),
        PreferenceLossConfig::Dpo(DpoConfig::new().with_beta(f64::NAN)),
        PreferenceLossConfig::Dpo(DpoConfig::new().with_label_smoothing(0.6)),
        PreferenceLossConfig::Dpo(
            DpoConfig::new()
                .with_label_smoothing(0.5)
                .with_smoothing(LabelSmoothing::Robust),
        ),
        PreferenceLossConfig::Ipo(IpoConfig::new().with_beta(-1.0)),
        PreferenceLossConfig::Hinge(HingeConfig::new().with_beta(f64::INFINITY)),
        PreferenceLossConfig::Nca(NcaConfig::new().with_beta(-0.1)),
        PreferenceLossConfig::Kto(KtoConfig::new().with_undesirable_weight(0.0)),
    ];
    for config in bad {
        let error = config.init().unwrap_err();
        assert!(
            matches!(error, Error::InvalidConfig { .. }),
            "{config:?}: {error}"
        );
    }
    let error = DpoConfig::new().with_beta(-2.0).init().unwrap_err();
    assert_eq!(
        error.to_string(),
        "dpo loss: `beta` is -2; it must be finite and above 0"
    );
    assert!(NcaKConfig::new().with_temperature(0.0).init_nca().is_err());
    assert!(
        BradleyTerryConfig::new()
            .with_center_coefficient(-1.0)
            .init()
            .is_err()
    );
    assert!(
        UltraInteractRewardConfig::new()
            .with_direct_weight(-1.0)
            .init()
            .is_err()
    );
}

#[test]
fn configs_read_from_json_with_defaults_and_refuse_unknown_fields() {
    let read = |text: &str| serde_json::from_str::<PreferenceLossConfig>(text);
    assert_eq!(
        read(r#"{"type": "kto", "beta": 0.2, "kl": "non_zero_mean"}"#).unwrap(),
        PreferenceLossConfig::Kto(
            KtoConfig::new()
                .with_beta(0.2)
                .with_kl(KlEstimate::NonZeroMean)
        )
    );
    for config in configs(0.3) {
        let text = serde_json::to_string(&config).unwrap();
        assert!(
            text.contains(&format!(r#""type":"{}""#, config.name())),
            "{text}"
        );
        assert_eq!(read(&text).unwrap(), config);
    }
    assert!(
        read(r#"{"type": "dpo", "bta": 0.1}"#)
            .unwrap_err()
            .to_string()
            .contains("bta")
    );
    assert!(read(r#"{"type": "dp"}"#).is_err());
    let reward: RewardLossConfig =
        serde_json::from_str(r#"{"type": "bradley_terry", "center_coefficient": 0.01}"#).unwrap();
    assert_eq!(reward.name(), "bradley_terry");
}

#[test]
#[should_panic(expected = "`reference_chosen` has 1 entries, `policy_chosen` has 2")]
fn a_reference_that_would_broadcast_is_refused() {
    let mut log_probs = pairs(vector(&[1.0, 2.0]), vector(&[0.0, 0.0]));
    log_probs.reference_chosen = vector(&[0.0]);
    DpoConfig::new().init().unwrap().forward(log_probs);
}

proptest! {
    #[test]
    fn swapping_chosen_and_rejected_flips_the_sign_of_the_margin(
        chosen in -60.0f32..60.0, rejected in -60.0f32..60.0, beta in 0.01f64..1.0,
    ) {
        let dpo = DpoConfig::new().with_beta(beta).init().unwrap();
        let there = dpo.forward(pairs(vector(&[chosen]), vector(&[rejected])));
        let back = dpo.forward(pairs(vector(&[rejected]), vector(&[chosen])));
        let margin = read(there.chosen_rewards - there.rejected_rewards)[0];
        let mirrored = read(back.chosen_rewards - back.rejected_rewards)[0];
        prop_assert!((margin + mirrored).abs() <= 1e-5);
        // -log s(z) + log s(-z) = -z.
        let difference = read(there.losses - back.losses)[0];
        prop_assert!((difference + margin).abs() <= 1e-5 * margin.abs().max(1.0));
    }

    #[test]
    fn a_likelier_chosen_response_never_costs_more(
        chosen in -50.0f32..50.0, rejected in -50.0f32..50.0, step in 0.1f32..10.0,
    ) {
        for config in configs(0.1) {
            // IPO and smoothed losses have an optimum at a finite margin, NCA at a finite reward.
            let monotone = match &config {
                PreferenceLossConfig::Dpo(dpo) => dpo.label_smoothing == 0.0,
                PreferenceLossConfig::Hinge(_) | PreferenceLossConfig::Kto(_) => true,
                _ => false,
            };
            if !monotone {
                continue;
            }
            let loss = config.init().unwrap();
            let before = loss_at(&loss, chosen, rejected);
            prop_assert!(loss_at(&loss, chosen + step, rejected) <= before + 1e-6);
            prop_assert!(loss_at(&loss, chosen, rejected + step) >= before - 1e-6);
        }
    }

    #[test]
    fn gradients_are_finite_differences(
        chosen in -30.0f32..30.0, rejected in -30.0f32..30.0,
    ) {
        for config in configs(0.1) {
            let loss = config.init().unwrap();
            let kink = 1.0 - 0.1 * (chosen - rejected);
            if matches!(config, PreferenceLossConfig::Hinge(_)) && kink.abs() < 0.1 {
                continue;
            }
            let (c, r) = (tracked(&[chosen]), tracked(&[rejected]));
            let losses = loss.forward(pairs(c.clone(), r.clone()), &PairContext::default()).unwrap().losses;
            let gradients = losses.sum().backward();
            let h = 0.25;
            let slope = |plus: f32, minus: f32| (plus - minus) / (2.0 * h);
            let along_chosen = slope(
                loss_at(&loss, chosen + h, rejected),
                loss_at(&loss, chosen - h, rejected),
            );
            let along_rejected = slope(
                loss_at(&loss, chosen, rejected + h),
                loss_at(&loss, chosen, rejected - h),
            );
            for (leaf, want) in [(c, along_chosen), (r, along_rejected)] {
                let got = read(leaf.grad(&gradients).unwrap())[0];
                // Central differences in f32: h^2 of the curvature, and rounding over h.
                prop_assert!(
                    (got - want).abs() <= 2e-3 * want.abs().max(0.02),
                    "{config:?}: {got} against {want}"
                );
            }
        }
    }
}
