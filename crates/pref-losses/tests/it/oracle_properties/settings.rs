//! Random settings of each loss.

use pref_losses::{
    AotConfig, AotPairing, ApoConfig, ApoVariant, BcoConfig, BradleyTerryConfig, CpoConfig,
    CpoForm, DiscopopConfig, Divergence, DivergenceConstant, DpoConfig, ExoConfig, HingeConfig,
    IpoConfig, KtoConfig, KtoPairConfig, LabelSmoothing, LambdaRankConfig, LdrConfig, NcaConfig,
    NcaKConfig, OrpoConfig, PlackettLuceDpoConfig, PreferenceLossConfig, RewardLossConfig,
    ScoredLossConfig, SftNormalization, SimpoConfig, SimpoMargin, SlicConfig, SppoConfig,
    SumConfig, UltraInteractRewardConfig, UnpairedApoZeroConfig, UnpairedLossConfig,
};
use proptest::prelude::*;

use super::oracles::KL_ESTIMATES;

fn one_of<T: Clone + std::fmt::Debug + 'static>(
    values: impl Into<Vec<T>>,
) -> impl Strategy<Value = T> {
    prop::sample::select(values.into())
}

fn betas() -> impl Strategy<Value = f64> {
    one_of([0.01, 0.1, 0.3, 1.0, 2.0])
}

fn rates() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.001f64..0.45]
}

fn weights() -> impl Strategy<Value = f64> {
    0.1f64..2.0
}

fn divergences() -> impl Strategy<Value = Divergence> {
    prop_oneof![
        Just(Divergence::ReverseKl),
        Just(Divergence::ForwardKl),
        Just(Divergence::JensenShannon),
        one_of([-0.5, 0.0, 0.5, 1.0, 1.5]).prop_map(Divergence::Alpha),
    ]
}

fn constants() -> impl Strategy<Value = DivergenceConstant> {
    one_of([DivergenceConstant::Kept, DivergenceConstant::Dropped])
}

/// Settings of the preference loss of this name.
pub fn preference(name: &str) -> BoxedStrategy<PreferenceLossConfig> {
    use PreferenceLossConfig as P;
    match name {
        "dpo" => dpo().prop_map(P::Dpo).boxed(),
        "ipo" => (betas(), divergences(), constants(), any::<bool>())
            .prop_map(|(beta, divergence, constant, per_token)| {
                P::Ipo(IpoConfig {
                    beta,
                    divergence,
                    divergence_constant: constant,
                    length_normalized: per_token,
                })
            })
            .boxed(),
        "hinge" => (betas(), divergences())
            .prop_map(|(beta, divergence)| P::Hinge(HingeConfig { beta, divergence }))
            .boxed(),
        "nca" => betas().prop_map(|beta| P::Nca(NcaConfig { beta })).boxed(),
        "kto" => kto().prop_map(P::Kto).boxed(),
        "kto_pair" => betas()
            .prop_map(|beta| P::KtoPair(KtoPairConfig { beta }))
            .boxed(),
        "exo" => (betas(), 0.001f64..0.5, divergences())
            .prop_map(|(beta, rate, divergence)| {
                P::Exo(ExoConfig {
                    beta,
                    label_smoothing: rate,
                    divergence,
                })
            })
            .boxed(),
        "bco" => betas().prop_map(|beta| P::Bco(BcoConfig { beta })).boxed(),
        "sppo" => betas()
            .prop_map(|beta| P::Sppo(SppoConfig { beta }))
            .boxed(),
        "aot" => (
            betas(),
            rates(),
            one_of([AotPairing::Paired, AotPairing::Unpaired]),
        )
            .prop_map(|(beta, rate, pairing)| {
                P::Aot(AotConfig {
                    beta,
                    label_smoothing: rate,
                    pairing,
                })
            })
            .boxed(),
        "apo" => (betas(), one_of([ApoVariant::Zero, ApoVariant::Down]))
            .prop_map(|(beta, variant)| P::Apo(ApoConfig { beta, variant }))
            .boxed(),
        "discopop" => (betas(), one_of([0.05, 0.2, 1.0]), divergences())
            .prop_map(|(beta, tau, divergence)| {
                P::Discopop(DiscopopConfig {
                    beta,
                    tau,
                    divergence,
                })
            })
            .boxed(),
        "simpo" => simpo().prop_map(P::Simpo).boxed(),
        "orpo" => (betas(), prop_oneof![Just(0.0), weights()])
            .prop_map(|(beta, sft)| {
                P::Orpo(OrpoConfig {
                    beta,
                    sft_weight: sft,
                })
            })
            .boxed(),
        "cpo" => (
            betas(),
            rates(),
            one_of([CpoForm::Sigmoid, CpoForm::Hinge, CpoForm::Ipo]),
        )
            .prop_map(|(beta, rate, form)| {
                let rate = if form == CpoForm::Sigmoid { rate } else { 0.0 };
                P::Cpo(CpoConfig {
                    beta,
                    form,
                    label_smoothing: rate,
                })
            })
            .boxed(),
        "slic" => (weights(), prop_oneof![Just(0.0), weights()])
            .prop_map(|(threshold, sft)| {
                P::Slic(SlicConfig {
                    threshold,
                    sft_weight: sft,
                })
            })
            .boxed(),
        "sum" => sum().prop_map(P::Sum).boxed(),
        other => panic!("the preference loss `{other}` has no oracle here"),
    }
}

fn dpo() -> impl Strategy<Value = DpoConfig> {
    let smoothing = one_of([LabelSmoothing::Conservative, LabelSmoothing::Robust]);
    (
        betas(),
        rates(),
        smoothing,
        divergences(),
        constants(),
        any::<bool>(),
    )
        .prop_map(
            |(beta, rate, smoothing, divergence, constant, per_token)| DpoConfig {
                beta,
                label_smoothing: rate,
                smoothing,
                divergence,
                divergence_constant: constant,
                length_normalized: per_token,
            },
        )
}

fn kto() -> impl Strategy<Value = KtoConfig> {
    (betas(), weights(), weights(), one_of(KL_ESTIMATES)).prop_map(
        |(beta, desirable, undesirable, kl)| KtoConfig {
            beta,
            desirable_weight: desirable,
            undesirable_weight: undesirable,
            kl,
        },
    )
}

fn simpo() -> impl Strategy<Value = SimpoConfig> {
    let margin = prop_oneof![
        (0.0f64..3.0).prop_map(SimpoMargin::Gamma),
        (0.0f64..1.0).prop_map(SimpoMargin::GammaBetaRatio),
    ];
    (betas(), margin, rates(), one_of([0.0, 0.25, 1.0, -0.25])).prop_map(
        |(beta, margin, rate, alpha)| SimpoConfig {
            beta,
            margin,
            label_smoothing: rate,
            alpha,
        },
    )
}

fn sum() -> impl Strategy<Value = SumConfig> {
    let term = one_of(["dpo", "bco", "apo", "simpo", "sppo"]).prop_flat_map(preference);
    let terms = prop::collection::vec((weights(), term), 1..4);
    let normalization = one_of([SftNormalization::Tokens, SftNormalization::Responses]);
    (terms, prop_oneof![Just(0.0), weights()], normalization).prop_map(
        |(terms, sft, normalization)| {
            let config = SumConfig {
                sft_weight: sft,
                sft_normalization: normalization,
                ..SumConfig::default()
            };
            terms.into_iter().fold(config, |config, (weight, loss)| {
                config.with_term(weight, loss)
            })
        },
    )
}

/// Settings of the reward loss of this name.
pub fn reward(name: &str) -> BoxedStrategy<RewardLossConfig> {
    let centering = || prop_oneof![Just(0.0), 0.001f64..0.1];
    match name {
        "bradley_terry" => centering()
            .prop_map(|coefficient| {
                let config = BradleyTerryConfig {
                    center_coefficient: coefficient,
                };
                RewardLossConfig::BradleyTerry(config)
            })
            .boxed(),
        "ultra_interact" => (weights(), centering())
            .prop_map(|(weight, coefficient)| {
                RewardLossConfig::UltraInteract(UltraInteractRewardConfig {
                    direct_weight: weight,
                    center_coefficient: coefficient,
                })
            })
            .boxed(),
        "ldr" => Just(RewardLossConfig::Ldr(LdrConfig::default())).boxed(),
        other => panic!("the reward loss `{other}` has no oracle here"),
    }
}

/// Settings of the unpaired loss of this name.
pub fn unpaired(name: &str) -> BoxedStrategy<UnpairedLossConfig> {
    use UnpairedLossConfig as U;
    match name {
        "kto" => kto().prop_map(U::Kto).boxed(),
        "bco" => betas().prop_map(|beta| U::Bco(BcoConfig { beta })).boxed(),
        "apo_zero" => (betas(), weights(), weights())
            .prop_map(|(beta, desirable, undesirable)| {
                U::ApoZero(UnpairedApoZeroConfig {
                    beta,
                    desirable_weight: desirable,
                    undesirable_weight: undesirable,
                })
            })
            .boxed(),
        other => panic!("the unpaired loss `{other}` has no oracle here"),
    }
}

/// Settings of the loss over scored responses of this name.
pub fn scored(name: &str) -> BoxedStrategy<ScoredLossConfig> {
    use ScoredLossConfig as S;
    let nca = || {
        (betas(), 0.1f64..4.0, 0.0f64..1.0).prop_map(|(beta, temperature, bonus)| NcaKConfig {
            beta,
            temperature,
            first_bonus: bonus,
        })
    };
    match name {
        "nca_k" => nca().prop_map(S::NcaK).boxed(),
        "info_nca" => nca().prop_map(S::InfoNca).boxed(),
        "plackett_luce" => betas()
            .prop_map(|beta| S::PlackettLuce(PlackettLuceDpoConfig { beta }))
            .boxed(),
        "lambda_rank" => betas()
            .prop_map(|beta| S::LambdaRank(LambdaRankConfig { beta }))
            .boxed(),
        other => panic!("the loss over scored responses `{other}` has no oracle here"),
    }
}
