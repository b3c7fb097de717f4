//! Losses that are other losses, and points where a loss is known.

use std::f32::consts::LN_2;

use burn::tensor::{Bool, Device, Tensor};
use pref_losses::{
    ApoConfig, BcoConfig, BradleyTerryConfig, CpoConfig, Divergence, DpoConfig, ExoConfig,
    HingeConfig, IpoConfig, KlEstimate, KtoConfig, Ldr, NcaConfig, NcaKConfig, OrpoConfig,
    PairLengths, PairLogProbs, PlackettLuce, PreferenceLossConfig, ResponseLogProbs, SimpoConfig,
    SimpoMargin, SppoConfig, UltraInteractRewardConfig, UnpairedApoZeroConfig, UnpairedLogProbs,
};
use proptest::prelude::*;

use super::support::{assert_close, forward, pairs, read, tracked, vector};

#[test]
fn at_the_reference_dpo_is_ln_2_and_nca_twice_that() {
    let zeros = || pairs(vector(&[0.0; 3]), vector(&[0.0; 3]));
    for beta in [0.01, 0.1, 1.0] {
        let dpo = DpoConfig {
            beta,
            ..DpoConfig::default()
        }
        .init()
        .unwrap();
        let nca = NcaConfig { beta }.init().unwrap();
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
    let dpo = DpoConfig {
        beta: 0.1,
        ..DpoConfig::default()
    }
    .init()
    .unwrap();
    let output = dpo.forward(pairs(chosen.clone(), rejected.clone()));
    let gradients = output.losses.sum().backward();
    assert!((read(chosen.grad(&gradients).unwrap())[0] + 0.05).abs() < 1e-7);
    assert!((read(rejected.grad(&gradients).unwrap())[0] - 0.05).abs() < 1e-7);
}

#[test]
fn two_responses_with_one_hot_weights_are_a_pair() {
    let device = Device::flex();
    let config = NcaKConfig {
        beta: 0.3,
        temperature: 1e-4,
        ..NcaKConfig::default()
    };
    let responses = || ResponseLogProbs {
        policy: Tensor::from_floats([[-18.0, -23.0]], &device),
        reference: Tensor::from_floats([[-20.0, -20.0]], &device),
        scores: Tensor::from_floats([[1.0, 0.0]], &device),
    };
    let pair = || pairs(vector(&[2.0]), vector(&[-3.0]));
    let nca = NcaConfig { beta: 0.3 }.init().unwrap().forward(pair());
    let dpo = DpoConfig {
        beta: 0.3,
        ..DpoConfig::default()
    }
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
    let rank_only = Tensor::<1, Bool>::from_data([false, true], &Device::flex());
    let both = UltraInteractRewardConfig::default().init().unwrap();
    let ranked = read(
        BradleyTerryConfig::default()
            .init()
            .unwrap()
            .forward(chosen.clone(), rejected.clone()),
    );
    let direct = read(Ldr.forward(chosen.clone(), rejected.clone()));
    let mixed = read(both.forward_mixed(chosen.clone(), rejected.clone(), rank_only));
    assert!((mixed[0] - ranked[0] - direct[0]).abs() < 1e-6);
    assert_eq!(mixed[1], ranked[1]);
    assert!((read(both.forward(chosen, rejected))[1] - ranked[1] - direct[1]).abs() < 1e-6);
}

fn unpaired(ratios: &[f32], desirable: bool) -> UnpairedLogProbs {
    let flags = vec![desirable; ratios.len()];
    UnpairedLogProbs {
        policy: vector(ratios) - 20.0,
        reference: vector(&vec![-20.0; ratios.len()]),
        desirable: Tensor::<1, Bool>::from_data(flags.as_slice(), &Device::flex()),
    }
}

#[test]
fn near_the_reference_every_divergence_pulls_alike() {
    for divergence in [
        Divergence::ReverseKl,
        Divergence::ForwardKl,
        Divergence::JensenShannon,
        Divergence::Alpha(0.5),
        Divergence::Alpha(3.0),
    ] {
        let (chosen, rejected) = (tracked(&[0.0]), tracked(&[0.0]));
        let dpo = DpoConfig {
            divergence,
            ..DpoConfig::default()
        }
        .init()
        .unwrap();
        let losses = dpo.forward(pairs(chosen.clone(), rejected.clone())).losses;
        assert_close(&read(losses.clone()), &[LN_2], "at the reference");
        let gradients = losses.sum().backward();
        // Jensen-Shannon has g'(0) = 1/2, which is how its generator is scaled.
        let share = if divergence == Divergence::JensenShannon {
            0.5
        } else {
            1.0
        };
        let slope = read(chosen.grad(&gradients).unwrap())[0];
        assert!(
            (slope + 0.05 * share).abs() < 1e-7,
            "{divergence:?}: {slope}"
        );
    }
}

#[test]
fn label_smoothing_of_exo_is_its_optimum() {
    for rate in [0.01f64, 0.2, 0.4] {
        let margin = ((1.0 - rate) / rate).ln() as f32;
        let chosen = tracked(&[margin]);
        let exo = ExoConfig {
            beta: 1.0,
            label_smoothing: rate,
            ..ExoConfig::default()
        };
        let losses = exo
            .init()
            .unwrap()
            .forward(pairs(chosen.clone(), vector(&[0.0])))
            .losses;
        assert!(read(losses.clone())[0].abs() < 1e-6);
        let gradients = losses.sum().backward();
        assert!(read(chosen.grad(&gradients).unwrap())[0].abs() < 1e-6);
    }
}

#[test]
fn lengths_of_empty_responses_count_as_one() {
    let lengths = || PairLengths {
        chosen: vector(&[0.0]),
        rejected: vector(&[2.0]),
    };
    let log_probs = PairLogProbs::without_reference(vector(&[0.0]), vector(&[-3.0]));
    let simpo = SimpoConfig {
        beta: 1.0,
        margin: SimpoMargin::Gamma(0.0),
        ..SimpoConfig::default()
    };
    let output = simpo.init().unwrap().forward(log_probs, lengths());
    assert_close(&read(output.chosen_rewards), &[0.0], "chosen");
    assert_close(&read(output.rejected_rewards), &[-1.5], "rejected");
}

proptest! {
    #[test]
    fn alpha_divergences_of_1_and_0_are_reverse_and_forward_kl(
        a in -20.0f32..20.0, b in -20.0f32..20.0, beta in 0.01f64..1.0,
    ) {
        let losses = |divergence| {
            let dpo = DpoConfig { beta, divergence, ..DpoConfig::default() };
            read(forward(&PreferenceLossConfig::Dpo(dpo), pairs(vector(&[a]), vector(&[b]))).losses)
        };
        prop_assert_eq!(losses(Divergence::Alpha(1.0)), losses(Divergence::ReverseKl));
        prop_assert_eq!(losses(Divergence::Alpha(0.0)), losses(Divergence::ForwardKl));
    }

    #[test]
    fn with_one_token_each_a_normalized_loss_is_the_plain_one(
        a in -50.0f32..50.0, b in -50.0f32..50.0, beta in 0.05f64..1.0,
    ) {
        let ones = || PairLengths { chosen: vector(&[1.0]), rejected: vector(&[1.0]) };
        let log_probs = || pairs(vector(&[a]), vector(&[b]));
        let dpo = DpoConfig { beta, ..DpoConfig::default() }.init().unwrap();
        let ipo = IpoConfig { beta, ..IpoConfig::default() }.init().unwrap();
        prop_assert_eq!(
            read(dpo.forward(log_probs()).losses),
            read(dpo.forward_per_token(log_probs(), ones()).losses)
        );
        prop_assert_eq!(
            read(ipo.forward(log_probs()).losses),
            read(ipo.forward_per_token(log_probs(), ones()).losses)
        );
        // Without a margin, SimPO of one token each is CPO, and that is DPO with a flat reference.
        let free = || PairLogProbs::without_reference(vector(&[a]), vector(&[b]));
        let simpo = SimpoConfig { beta, margin: SimpoMargin::Gamma(0.0), ..SimpoConfig::default() };
        let simpo = read(simpo.init().unwrap().forward(free(), ones()).losses);
        let cpo = CpoConfig { beta, ..CpoConfig::default() }.init().unwrap();
        prop_assert_eq!(&simpo, &read(cpo.forward(free()).losses));
        prop_assert_eq!(&simpo, &read(dpo.forward(free()).losses));
    }

    #[test]
    fn losses_of_pairs_are_those_of_their_responses(
        a in -80.0f32..80.0, b in -80.0f32..80.0, beta in 0.01f64..1.0, shift in -2.0f64..2.0,
    ) {
        let log_probs = || pairs(vector(&[a]), vector(&[b]));
        let bco = BcoConfig { beta }.init().unwrap();
        let sum = read(bco.forward_unpaired(unpaired(&[a], true), shift).losses)[0]
            + read(bco.forward_unpaired(unpaired(&[b], false), shift).losses)[0];
        assert_close(&read(bco.forward(log_probs(), shift).losses), &[sum], "bco");

        let apo = ApoConfig { beta, ..ApoConfig::default() }.init().unwrap();
        let zero = UnpairedApoZeroConfig { beta, ..UnpairedApoZeroConfig::default() }.init().unwrap();
        let none = || vector(&[0.0]);
        let sum = read(zero.forward(unpaired(&[a], true), none()).losses)[0]
            + read(zero.forward(unpaired(&[b], false), none()).losses)[0];
        assert_close(&read(apo.forward(log_probs()).losses), &[sum], "apo");

        let kto = KtoConfig { beta, kl: KlEstimate::Zero, ..KtoConfig::default() }.init().unwrap();
        assert_close(&read(kto.forward_pairs(log_probs(), none()).losses), &[0.5 * sum], "kto");
    }

    #[test]
    fn plackett_luce_of_two_is_bradley_terry(a in -1e4f32..1e4, b in -1e4f32..1e4) {
        let (chosen, rejected) = (tracked(&[a]), tracked(&[b]));
        let ranked = Tensor::stack::<2>(vec![chosen.clone(), rejected.clone()], 1);
        let ranked = PlackettLuce.forward(ranked);
        let pair = BradleyTerryConfig::default().init().unwrap().forward(chosen.clone(), rejected.clone());
        prop_assert_eq!(read(ranked.clone()), read(pair.clone()));
        let (of_ranked, of_pair) = (ranked.sum().backward(), pair.sum().backward());
        for leaf in [chosen, rejected] {
            assert_close(
                &read(leaf.grad(&of_ranked).unwrap()),
                &read(leaf.grad(&of_pair).unwrap()),
                "gradient",
            );
        }
    }

    #[test]
    fn plackett_luce_is_minus_the_log_of_the_rankings_probability(
        rewards in prop::collection::vec(-5.0f32..5.0, 1..6), level in -50.0f32..50.0,
    ) {
        let weights: Vec<f64> = rewards.iter().map(|&r| f64::from(r).exp()).collect();
        let want: f64 = (0..weights.len())
            .map(|i| (weights[i..].iter().sum::<f64>() / weights[i]).ln())
            .sum();
        let loss = |offset: f32| {
            let row = vector(&rewards) + offset;
            read(PlackettLuce.forward(row.unsqueeze_dim(0)))[0]
        };
        assert_close(&[loss(0.0)], &[want as f32], "plain");
        prop_assert!((loss(level) - loss(0.0)).abs() < 1e-4, "level {level}");
    }

    #[test]
    fn simpo_does_not_see_a_shift_of_both_means(
        a in -5.0f32..0.0, b in -5.0f32..0.0, shift in -5.0f32..0.0, beta in 0.1f64..10.0,
    ) {
        let simpo = SimpoConfig { beta, ..SimpoConfig::default() }.init().unwrap();
        let lengths = || PairLengths { chosen: vector(&[16.0]), rejected: vector(&[4.0]) };
        let loss = |shift: f32| {
            let chosen = vector(&[16.0 * (a + shift)]);
            let rejected = vector(&[4.0 * (b + shift)]);
            read(simpo.forward(PairLogProbs::without_reference(chosen, rejected), lengths()).losses)[0]
        };
        prop_assert!((loss(shift) - loss(0.0)).abs() <= 2e-6 * (1.0 + 10.0 * beta as f32));
    }

    #[test]
    fn orpo_is_its_odds_ratio_and_its_sft_term(
        c in -8.0f32..-0.01, r in -8.0f32..-0.01, beta in 0.05f64..1.0,
    ) {
        let lengths = || PairLengths { chosen: vector(&[3.0]), rejected: vector(&[5.0]) };
        let log_probs =
            || PairLogProbs::without_reference(vector(&[3.0 * c]), vector(&[5.0 * r]));
        let odds = OrpoConfig { beta, sft_weight: 0.0 }.init().unwrap();
        let whole = OrpoConfig { beta, ..OrpoConfig::default() }.init().unwrap();
        let odds = read(odds.forward(log_probs(), lengths()).losses)[0];
        assert_close(&read(whole.forward(log_probs(), lengths()).losses), &[odds - c], "orpo");
    }

    #[test]
    fn squares_and_hinges_are_what_they_say(
        a in -30.0f32..30.0, b in -30.0f32..30.0, beta in 0.05f64..1.0,
    ) {
        let log_probs = || pairs(vector(&[a]), vector(&[b]));
        let (x, y) = (f64::from(a), f64::from(b));
        let target = 0.5 / beta;
        let close = |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-5 * want.abs().max(10.0);
        let sppo = SppoConfig { beta }.init().unwrap();
        prop_assert!(close(
            read(sppo.forward(log_probs()).losses)[0],
            (x - target).powi(2) + (y + target).powi(2)
        ));
        let hinge = HingeConfig { beta, ..HingeConfig::default() }.init().unwrap();
        prop_assert!(close(
            read(hinge.forward(log_probs()).losses)[0],
            (1.0 - beta * (x - y)).max(0.0)
        ));
    }
}
