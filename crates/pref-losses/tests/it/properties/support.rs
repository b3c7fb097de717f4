//! Tensors, every loss, and what they need.

use burn::tensor::{Device, Tensor};
use pref_losses::{
    AotConfig, AotPairing, ApoConfig, ApoVariant, BcoConfig, CpoConfig, CpoForm, DiscopopConfig,
    Divergence, DpoConfig, ExoConfig, HingeConfig, IpoConfig, KlEstimate, KtoConfig, KtoPairConfig,
    LabelSmoothing, NcaConfig, OrpoConfig, PairContext, PairLengths, PairLogProbs, PairOutput,
    PreferenceLossConfig, SftNormalization, SimpoConfig, SimpoMargin, SlicConfig, SppoConfig,
    SumConfig,
};

pub fn vector(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex())
}

pub fn tracked(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex().autodiff()).require_grad()
}

pub fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Pairs with the given log-ratios, on top of a reference of -20 nats.
pub fn pairs(chosen: Tensor<1>, rejected: Tensor<1>) -> PairLogProbs {
    let reference = chosen.zeros_like().sub_scalar(20.0).detach();
    PairLogProbs {
        policy_chosen: chosen - 20.0,
        policy_rejected: rejected - 20.0,
        reference_chosen: reference.clone(),
        reference_rejected: reference,
    }
}

/// Every loss over pairs, in all its forms.
pub fn configs(beta: f64) -> Vec<PreferenceLossConfig> {
    use PreferenceLossConfig::*;
    let dpo = DpoConfig {
        beta,
        ..DpoConfig::default()
    };
    let sum = SumConfig {
        sft_weight: 0.3,
        ..SumConfig::default()
            .with_term(0.5, Dpo(dpo.clone()))
            .with_term(2.0, Bco(BcoConfig { beta }))
    };
    let cpo = CpoConfig {
        beta,
        ..CpoConfig::default()
    };
    let simpo = SimpoConfig {
        beta,
        ..SimpoConfig::default()
    };
    vec![
        Dpo(dpo.clone()),
        Dpo(DpoConfig {
            label_smoothing: 0.2,
            ..dpo.clone()
        }),
        Dpo(DpoConfig {
            label_smoothing: 0.2,
            smoothing: LabelSmoothing::Robust,
            ..dpo.clone()
        }),
        Dpo(DpoConfig {
            length_normalized: true,
            ..dpo.clone()
        }),
        Dpo(DpoConfig {
            divergence: Divergence::ForwardKl,
            ..dpo.clone()
        }),
        Dpo(DpoConfig {
            divergence: Divergence::JensenShannon,
            ..dpo.clone()
        }),
        Dpo(DpoConfig {
            divergence: Divergence::Alpha(0.5),
            ..dpo.clone()
        }),
        Dpo(DpoConfig {
            divergence: Divergence::Alpha(2.0),
            length_normalized: true,
            ..dpo.clone()
        }),
        Dpo(DpoConfig {
            divergence: Divergence::ForwardKl,
            length_normalized: true,
            ..dpo
        }),
        Ipo(IpoConfig {
            beta,
            ..IpoConfig::default()
        }),
        Ipo(IpoConfig {
            beta,
            length_normalized: true,
            ..IpoConfig::default()
        }),
        Hinge(HingeConfig {
            beta,
            ..HingeConfig::default()
        }),
        Nca(NcaConfig { beta }),
        Kto(KtoConfig {
            beta,
            desirable_weight: 1.33,
            kl: KlEstimate::Zero,
            ..KtoConfig::default()
        }),
        Kto(KtoConfig {
            beta,
            ..KtoConfig::default()
        }),
        KtoPair(KtoPairConfig { beta }),
        Exo(ExoConfig {
            beta,
            ..ExoConfig::default()
        }),
        Bco(BcoConfig { beta }),
        Sppo(SppoConfig { beta }),
        Aot(AotConfig {
            beta,
            ..AotConfig::default()
        }),
        Aot(AotConfig {
            beta,
            label_smoothing: 0.1,
            pairing: AotPairing::Unpaired,
        }),
        Apo(ApoConfig {
            beta,
            ..ApoConfig::default()
        }),
        Apo(ApoConfig {
            beta,
            variant: ApoVariant::Down,
        }),
        Discopop(DiscopopConfig {
            beta,
            ..DiscopopConfig::default()
        }),
        Simpo(simpo.clone()),
        Simpo(SimpoConfig {
            margin: SimpoMargin::GammaBetaRatio(0.3),
            label_smoothing: 0.1,
            ..simpo.clone()
        }),
        Simpo(SimpoConfig {
            alpha: 0.25,
            ..simpo
        }),
        Orpo(OrpoConfig {
            beta,
            ..OrpoConfig::default()
        }),
        Cpo(CpoConfig {
            label_smoothing: 0.1,
            ..cpo.clone()
        }),
        Cpo(CpoConfig {
            form: CpoForm::Hinge,
            ..cpo.clone()
        }),
        Cpo(CpoConfig {
            form: CpoForm::Ipo,
            ..cpo
        }),
        Slic(SlicConfig::default()),
        Sum(sum.clone()),
        Sum(SumConfig {
            sft_normalization: SftNormalization::Responses,
            ..sum
        }),
    ]
}

/// All that any loss needs: lengths of 4, 5, 6, .. and 9, 8, 7, .., a KL estimate and a shift.
pub fn context(pairs: usize) -> PairContext {
    let lengths: Vec<f32> = (0..pairs).map(|i| 4.0 + i as f32).collect();
    let others: Vec<f32> = (0..pairs).map(|i| (9.0 - i as f32).max(1.0)).collect();
    PairContext {
        lengths: Some(PairLengths {
            chosen: vector(&lengths),
            rejected: vector(&others),
        }),
        kl: Some(vector(&[0.5])),
        reward_shift: 0.1,
        ..PairContext::default()
    }
}

/// The loss of pairs, with [`context`].
pub fn forward(config: &PreferenceLossConfig, log_probs: PairLogProbs) -> PairOutput {
    let context = context(log_probs.len());
    let loss = config.init().unwrap();
    loss.forward(log_probs, &context).unwrap()
}

/// Equal to rounding of f32, relative to the larger of the two and to 1.
#[track_caller]
pub fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        let scale = want.abs().max(1.0);
        assert!(
            (got - want).abs() <= 4e-6 * scale,
            "{what}: {got} instead of {want}"
        );
    }
}
