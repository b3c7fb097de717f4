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
    let dpo = DpoConfig::new().with_beta(beta);
    let sum = SumConfig::new()
        .with_term(0.5, Dpo(dpo.clone()))
        .with_term(2.0, Bco(BcoConfig::new().with_beta(beta)))
        .with_sft_weight(0.3);
    let cpo = CpoConfig::new().with_beta(beta);
    let simpo = SimpoConfig::new().with_beta(beta);
    vec![
        Dpo(dpo.clone()),
        Dpo(dpo.clone().with_label_smoothing(0.2)),
        Dpo(dpo
            .clone()
            .with_label_smoothing(0.2)
            .with_smoothing(LabelSmoothing::Robust)),
        Dpo(dpo.clone().with_length_normalized(true)),
        Dpo(dpo.clone().with_divergence(Divergence::ForwardKl)),
        Dpo(dpo.clone().with_divergence(Divergence::JensenShannon)),
        Dpo(dpo.clone().with_divergence(Divergence::Alpha(0.5))),
        Dpo(dpo
            .clone()
            .with_divergence(Divergence::Alpha(2.0))
            .with_length_normalized(true)),
        Dpo(dpo
            .with_divergence(Divergence::ForwardKl)
            .with_length_normalized(true)),
        Ipo(IpoConfig::new().with_beta(beta)),
        Ipo(IpoConfig::new()
            .with_beta(beta)
            .with_length_normalized(true)),
        Hinge(HingeConfig::new().with_beta(beta)),
        Nca(NcaConfig::new().with_beta(beta)),
        Kto(KtoConfig::new()
            .with_beta(beta)
            .with_desirable_weight(1.33)
            .with_kl(KlEstimate::Zero)),
        Kto(KtoConfig::new().with_beta(beta)),
        KtoPair(KtoPairConfig::new().with_beta(beta)),
        Exo(ExoConfig::new().with_beta(beta)),
        Bco(BcoConfig::new().with_beta(beta)),
        Sppo(SppoConfig::new().with_beta(beta)),
        Aot(AotConfig::new().with_beta(beta)),
        Aot(AotConfig::new()
            .with_beta(beta)
            .with_label_smoothing(0.1)
            .with_pairing(AotPairing::Unpaired)),
        Apo(ApoConfig::new().with_beta(beta)),
        Apo(ApoConfig::new()
            .with_beta(beta)
            .with_variant(ApoVariant::Down)),
        Discopop(DiscopopConfig::new().with_beta(beta)),
        Simpo(simpo.clone()),
        Simpo(
            simpo
                .clone()
                .with_margin(SimpoMargin::GammaBetaRatio(0.3))
                .with_label_smoothing(0.1),
        ),
        Simpo(simpo.with_alpha(0.25)),
        Orpo(OrpoConfig::new().with_beta(beta)),
        Cpo(cpo.clone().with_label_smoothing(0.1)),
        Cpo(cpo.clone().with_form(CpoForm::Hinge)),
        Cpo(cpo.with_form(CpoForm::Ipo)),
        Slic(SlicConfig::new()),
        Sum(sum.clone()),
        Sum(sum.with_sft_normalization(SftNormalization::Responses)),
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
