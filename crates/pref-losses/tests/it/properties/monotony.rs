//! Which way a loss pulls.

use burn::tensor::Tensor;
use pref_losses::{Divergence, DpoConfig, PreferenceLossConfig};
use proptest::prelude::*;

use super::support::{configs, forward, pairs, read, tracked, vector};

proptest! {
    #[test]
    fn swapping_chosen_and_rejected_flips_the_sign_of_the_margin(
        chosen in -60.0f32..60.0, rejected in -60.0f32..60.0, beta in 0.01f64..1.0,
    ) {
        let dpo = DpoConfig { beta, ..DpoConfig::default() }.init().unwrap();
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
            let pull = pull(&config);
            let loss = |chosen: f32, rejected: f32| {
                read(forward(&config, pairs(vector(&[chosen]), vector(&[rejected]))).losses)[0]
            };
            let before = loss(chosen, rejected);
            let rounding = 1e-5 * before.abs().max(1.0);
            if pull.raises_chosen {
                let after = loss(chosen + step, rejected);
                prop_assert!(after <= before + rounding, "{config:?}: {before}, then {after}");
            }
            if pull.lowers_rejected {
                let after = loss(chosen, rejected + step);
                prop_assert!(after >= before - rounding, "{config:?}: {before}, then {after}");
            }
        }
    }

    #[test]
    fn gradients_raise_chosen_and_lower_rejected_responses(
        chosen in -50.0f32..50.0, rejected in -50.0f32..50.0,
    ) {
        for config in configs(0.1) {
            let pull = pull(&config);
            let (c, r) = (tracked(&[chosen]), tracked(&[rejected]));
            let losses = forward(&config, pairs(c.clone(), r.clone())).losses;
            let gradients = losses.sum().backward();
            let slope =
                |leaf: &Tensor<1>| leaf.grad(&gradients).map_or(0.0, |slope| read(slope)[0]);
            if pull.raises_chosen {
                prop_assert!(slope(&c) <= 0.0, "{config:?}: {}", slope(&c));
            }
            if pull.lowers_rejected {
                prop_assert!(slope(&r) >= 0.0, "{config:?}: {}", slope(&r));
            }
        }
    }
}

/// What a loss does wherever the policy is.
struct Pull {
    raises_chosen: bool,
    lowers_rejected: bool,
}

fn pull(config: &PreferenceLossConfig) -> Pull {
    use PreferenceLossConfig::*;
    let (raises_chosen, lowers_rejected) = match config {
        Dpo(dpo) if dpo.label_smoothing > 0.0 => (false, false),
        // Scores that leave the range stop pulling, which shows in values as a step.
        Dpo(dpo) if dpo.divergence != Divergence::ReverseKl => (false, false),
        Dpo(_) | Hinge(_) | Kto(_) | Bco(_) | Slic(_) => (true, true),
        Apo(apo) if apo.variant == pref_losses::ApoVariant::Zero => (true, true),
        // The chosen reward has an optimum, or falls.
        Nca(_) | Apo(_) => (false, true),
        Simpo(simpo) => (simpo.label_smoothing == 0.0, simpo.label_smoothing == 0.0),
        Cpo(cpo) => {
            let monotone = cpo.form == pref_losses::CpoForm::Hinge;
            (monotone, monotone)
        }
        // Smoothed labels, squares and steps have optima inside; log-probs here are no log-probs for
        // odds; a batch of one pair has its own mean as reference point.
        Ipo(_) | Exo(_) | Sppo(_) | Discopop(_) | Aot(_) | Orpo(_) | KtoPair(_) => (false, false),
        Sum(_) => (true, true),
        other => panic!("say which way {} pulls", other.name()),
    };
    Pull {
        raises_chosen,
        lowers_rejected,
    }
}
