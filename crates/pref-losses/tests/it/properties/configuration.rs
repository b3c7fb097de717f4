//! Configurations: ranges, serialized forms, what is needed.

use pref_losses::{
    AotConfig, ApoConfig, BcoConfig, BradleyTerryConfig, CpoConfig, CpoForm, DiscopopConfig,
    Divergence, DmpoConfig, DpoConfig, Error, ExoConfig, HingeConfig, IpoConfig, KlEstimate,
    KtoConfig, KtoPairConfig, LabelSmoothing, LambdaRankConfig, LdDpoConfig, LdrConfig, NcaConfig,
    NcaKConfig, Needs, NormBtConfig, OrpoConfig, PairContext, PlackettLuceDpoConfig,
    PreferenceLossConfig, RewardLossConfig, ScoredLossConfig, SimpoConfig, SimpoMargin, SlicConfig,
    SppoConfig, UltraInteractRewardConfig, UnpairedContext, UnpairedLogProbs, UnpairedLossConfig,
    WpoConfig,
};
use serde::de::DeserializeOwned;

use super::support::{configs, context, forward, pairs, read, vector};

#[test]
fn numbers_out_of_range_are_errors_that_name_the_field() {
    use PreferenceLossConfig::*;
    let robust = DpoConfig {
        smoothing: LabelSmoothing::Robust,
        ..DpoConfig::default()
    };
    let hinge = CpoConfig {
        form: CpoForm::Hinge,
        ..CpoConfig::default()
    };
    let bad = [
        (
            Dpo(DpoConfig {
                beta: 0.0,
                ..DpoConfig::default()
            }),
            "beta",
        ),
        (
            Dpo(DpoConfig {
                beta: f64::NAN,
                ..DpoConfig::default()
            }),
            "beta",
        ),
        (
            Dpo(DpoConfig {
                label_smoothing: 0.6,
                ..DpoConfig::default()
            }),
            "label_smoothing",
        ),
        (
            Dpo(DpoConfig {
                label_smoothing: 0.5,
                ..robust
            }),
            "label_smoothing",
        ),
        (
            Dpo(DpoConfig {
                divergence: Divergence::Alpha(f64::INFINITY),
                ..DpoConfig::default()
            }),
            "divergence.alpha",
        ),
        (
            Ipo(IpoConfig {
                beta: -1.0,
                ..IpoConfig::default()
            }),
            "beta",
        ),
        (
            Hinge(HingeConfig {
                beta: f64::INFINITY,
                ..HingeConfig::default()
            }),
            "beta",
        ),
        (Nca(NcaConfig { beta: -0.1 }), "beta"),
        (
            Kto(KtoConfig {
                undesirable_weight: 0.0,
                ..KtoConfig::default()
            }),
            "undesirable_weight",
        ),
        (KtoPair(KtoPairConfig { beta: 0.0 }), "beta"),
        (
            Exo(ExoConfig {
                label_smoothing: 0.0,
                ..ExoConfig::default()
            }),
            "label_smoothing",
        ),
        (Bco(BcoConfig { beta: 0.0 }), "beta"),
        (Sppo(SppoConfig { beta: 0.0 }), "beta"),
        (
            Aot(AotConfig {
                label_smoothing: -0.1,
                ..AotConfig::default()
            }),
            "label_smoothing",
        ),
        (
            Apo(ApoConfig {
                beta: 0.0,
                ..ApoConfig::default()
            }),
            "beta",
        ),
        (
            Discopop(DiscopopConfig {
                tau: 0.0,
                ..DiscopopConfig::default()
            }),
            "tau",
        ),
        (
            Simpo(SimpoConfig {
                margin: SimpoMargin::Gamma(-1.0),
                ..SimpoConfig::default()
            }),
            "margin.gamma",
        ),
        (
            Simpo(SimpoConfig {
                alpha: f64::NAN,
                ..SimpoConfig::default()
            }),
            "alpha",
        ),
        (
            Orpo(OrpoConfig {
                sft_weight: -1.0,
                ..OrpoConfig::default()
            }),
            "sft_weight",
        ),
        (
            Cpo(CpoConfig {
                label_smoothing: 0.1,
                ..hinge
            }),
            "label_smoothing",
        ),
        (
            Slic(SlicConfig {
                threshold: 0.0,
                ..SlicConfig::default()
            }),
            "threshold",
        ),
    ];
    for (config, name) in bad {
        let error = config.init().unwrap_err();
        assert!(
            matches!(error, Error::InvalidConfig { loss, field, .. } if loss == config.name() && field == name),
            "{config:?}: {error}"
        );
    }
    let error = DpoConfig {
        beta: -2.0,
        ..DpoConfig::default()
    }
    .init()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "dpo loss: `beta` is -2; it must be finite and above 0"
    );
    let scored = [
        ScoredLossConfig::NcaK(NcaKConfig {
            temperature: 0.0,
            ..NcaKConfig::default()
        }),
        ScoredLossConfig::InfoNca(NcaKConfig {
            first_bonus: -1.0,
            ..NcaKConfig::default()
        }),
        ScoredLossConfig::PlackettLuce(PlackettLuceDpoConfig { beta: 0.0 }),
        ScoredLossConfig::LambdaRank(LambdaRankConfig { beta: -0.1 }),
    ];
    for config in scored {
        let error = config.init().unwrap_err().to_string();
        assert!(error.starts_with(config.name()), "{error}");
    }
    let called_directly = [
        (
            WpoConfig {
                cap: Some(0.0),
                ..WpoConfig::default()
            }
            .init()
            .map(drop),
            "cap",
        ),
        (
            LdDpoConfig {
                alpha: 1.1,
                ..LdDpoConfig::default()
            }
            .init()
            .map(drop),
            "alpha",
        ),
        (
            DmpoConfig {
                gamma: 0.0,
                ..DmpoConfig::default()
            }
            .init()
            .map(drop),
            "gamma",
        ),
        (
            DmpoConfig {
                beta: 0.0,
                ..DmpoConfig::default()
            }
            .init()
            .map(drop),
            "beta",
        ),
        (
            NormBtConfig {
                decay: 1.0,
                ..NormBtConfig::default()
            }
            .init()
            .map(drop),
            "decay",
        ),
        (
            NormBtConfig {
                epsilon: 0.0,
                ..NormBtConfig::default()
            }
            .init()
            .map(drop),
            "epsilon",
        ),
    ];
    for (result, name) in called_directly {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::InvalidConfig { field, .. } if field == name));
    }
    assert!(
        BradleyTerryConfig {
            center_coefficient: -1.0
        }
        .init()
        .is_err()
    );
    assert!(
        UltraInteractRewardConfig {
            direct_weight: -1.0,
            ..UltraInteractRewardConfig::default()
        }
        .init()
        .is_err()
    );
}

#[test]
fn configs_read_from_json_with_defaults_and_refuse_unknown_fields() {
    let read = |text: &str| serde_json::from_str::<PreferenceLossConfig>(text);
    assert_eq!(
        read(r#"{"type": "kto", "beta": 0.2, "kl": "non_zero_mean"}"#).unwrap(),
        PreferenceLossConfig::Kto(KtoConfig {
            beta: 0.2,
            kl: KlEstimate::NonZeroMean,
            ..KtoConfig::default()
        })
    );
    let simpo = SimpoConfig {
        margin: SimpoMargin::GammaBetaRatio(0.3),
        ..SimpoConfig::default()
    };
    assert_eq!(
        read(r#"{"type": "simpo", "margin": {"gamma_beta_ratio": 0.3}}"#).unwrap(),
        PreferenceLossConfig::Simpo(simpo)
    );
    let dpo = DpoConfig {
        divergence: Divergence::Alpha(0.5),
        length_normalized: true,
        ..DpoConfig::default()
    };
    assert_eq!(
        read(r#"{"type": "dpo", "divergence": {"alpha": 0.5}, "length_normalized": true}"#)
            .unwrap(),
        PreferenceLossConfig::Dpo(dpo)
    );
    for config in configs(0.3) {
        let text = serde_json::to_string(&config).unwrap();
        let name = config.name();
        assert!(text.contains(&format!(r#""type":"{name}""#)), "{text}");
        assert_eq!(read(&text).unwrap(), config);
        let unknown = text.replacen('{', r#"{"bta": 0.1, "#, 1);
        let error = read(&unknown).unwrap_err().to_string();
        assert!(error.contains("bta"), "{unknown}: {error}");
    }
    assert!(read(r#"{"type": "dp"}"#).is_err());
    assert!(
        read(r#"{"type": "sum", "terms": [{"wieght": 1.0, "loss": {"type": "dpo"}}]}"#).is_err()
    );
}

/// A configuration enum says itself which names it knows when it is given another one.
fn assert_names<T: DeserializeOwned>(names: &[&str], name_of: impl Fn(&T) -> &'static str) {
    let parsed = |name: &str| serde_json::from_value::<T>(serde_json::json!({ "type": name }));
    let error = parsed("?").err().unwrap();
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let known = format!("unknown variant `?`, expected one of {}", quoted.join(", "));
    assert_eq!(error.to_string(), known);
    for name in names {
        assert_eq!(name_of(&parsed(name).unwrap()), *name);
    }
}

#[test]
fn the_lists_of_names_are_whole() {
    assert_names(PreferenceLossConfig::NAMES, PreferenceLossConfig::name);
    assert_names(RewardLossConfig::NAMES, RewardLossConfig::name);
    assert_names(UnpairedLossConfig::NAMES, UnpairedLossConfig::name);
    assert_names(ScoredLossConfig::NAMES, ScoredLossConfig::name);
}

#[test]
fn reward_and_unpaired_configs_read_from_json_too() {
    let reward = |text: &str| serde_json::from_str::<RewardLossConfig>(text);
    for (text, name) in [
        (
            r#"{"type": "bradley_terry", "center_coefficient": 0.01}"#,
            "bradley_terry",
        ),
        (
            r#"{"type": "ultra_interact", "direct_weight": 0.5}"#,
            "ultra_interact",
        ),
        (r#"{"type": "ldr"}"#, "ldr"),
    ] {
        let config = reward(text).unwrap();
        assert_eq!(config.name(), name);
        config.init().unwrap();
    }
    assert!(reward(r#"{"type": "ldr", "weight": 1.0}"#).is_err());
    assert_eq!(
        RewardLossConfig::Ldr(LdrConfig::default()),
        reward(r#"{"type": "ldr"}"#).unwrap()
    );
    let unpaired = |text: &str| serde_json::from_str::<UnpairedLossConfig>(text);
    for name in ["kto", "bco", "apo_zero"] {
        let config = unpaired(&format!(r#"{{"type": "{name}", "beta": 0.2}}"#)).unwrap();
        assert_eq!(config.name(), name);
        config.init().unwrap();
        assert!(unpaired(&format!(r#"{{"type": "{name}", "bta": 0.2}}"#)).is_err());
        let error = unpaired(&format!(r#"{{"type": "{name}", "beta": 0.0}}"#))
            .unwrap()
            .init();
        assert!(error.unwrap_err().to_string().starts_with(name));
    }
}

#[test]
fn configs_of_scored_responses_and_of_losses_that_are_called_directly_read_from_json() {
    for name in ScoredLossConfig::NAMES {
        let text = format!(r#"{{"type":"{name}","beta":0.2}}"#);
        let config: ScoredLossConfig = serde_json::from_str(&text).unwrap();
        let needs = config.init().unwrap().needs();
        assert!(needs.reference && !needs.lengths && !needs.kl);
        let unknown = text.replace("beta", "bta");
        assert!(serde_json::from_str::<ScoredLossConfig>(&unknown).is_err());
    }
    assert_eq!(
        serde_json::from_str::<WpoConfig>(r#"{"cap": 1.0}"#).unwrap(),
        WpoConfig {
            cap: Some(1.0),
            ..WpoConfig::default()
        }
    );
    assert_eq!(
        serde_json::from_str::<LdDpoConfig>("{}").unwrap(),
        LdDpoConfig::default()
    );
    assert_eq!(
        serde_json::from_str::<DmpoConfig>(r#"{"gamma": 0.9}"#).unwrap(),
        DmpoConfig {
            gamma: 0.9,
            ..DmpoConfig::default()
        }
    );
    assert_eq!(
        serde_json::from_str::<NormBtConfig>(r#"{"decay": 0.5}"#).unwrap(),
        NormBtConfig {
            decay: 0.5,
            ..NormBtConfig::default()
        }
    );
    assert!(serde_json::from_str::<WpoConfig>(r#"{"weight": 1}"#).is_err());
    assert!(serde_json::from_str::<LdDpoConfig>(r#"{"ld_alpha": 1}"#).is_err());
    assert!(serde_json::from_str::<DmpoConfig>(r#"{"alpha": 1}"#).is_err());
    assert!(serde_json::from_str::<NormBtConfig>(r#"{"ema": 1}"#).is_err());
}

#[test]
fn what_a_loss_needs_is_what_it_misses() {
    let log_probs = || pairs(vector(&[1.0, 0.5]), vector(&[0.0, 0.0]));
    for config in configs(0.1) {
        let loss = config.init().unwrap();
        let Needs { lengths, kl, .. } = loss.needs();
        let without_lengths = PairContext {
            lengths: None,
            ..context(2)
        };
        let without_kl = PairContext {
            kl: None,
            ..context(2)
        };
        let got = loss.forward(log_probs(), &without_lengths);
        assert_eq!(got.is_err(), lengths, "{config:?}");
        if let Err(error) = got {
            assert!(matches!(error, Error::MissingLengths { loss } if loss == config.name()));
        }
        let got = loss.forward(log_probs(), &without_kl);
        assert_eq!(got.err(), kl.then_some(Error::MissingKl), "{config:?}");
    }
}

#[test]
fn losses_without_a_reference_do_not_look_at_it() {
    let log_probs = pairs(vector(&[1.0, 0.5]), vector(&[0.0, -3.0]));
    let mut moved = log_probs.clone();
    moved.reference_chosen = vector(&[7.0, f32::NAN]);
    for config in configs(0.1) {
        let sees = read(forward(&config, log_probs.clone()).losses)
            != read(forward(&config, moved.clone()).losses);
        assert_eq!(sees, config.init().unwrap().needs().reference, "{config:?}");
    }
}

#[test]
fn unpaired_kto_without_its_kl_is_an_error() {
    let loss = UnpairedLossConfig::Kto(KtoConfig::default())
        .init()
        .unwrap();
    assert!(loss.needs().kl);
    let log_probs = UnpairedLogProbs {
        policy: vector(&[1.0]),
        reference: vector(&[0.0]),
        desirable: vector(&[1.0]).greater_elem(0.0),
    };
    let error = loss
        .forward(log_probs, &UnpairedContext::default())
        .unwrap_err();
    assert_eq!(error, Error::MissingKl);
}

#[test]
#[should_panic(expected = "`reference_chosen` has 1 entries, `policy_chosen` has 2")]
fn a_reference_that_would_broadcast_is_refused() {
    let mut log_probs = pairs(vector(&[1.0, 2.0]), vector(&[0.0, 0.0]));
    log_probs.reference_chosen = vector(&[0.0]);
    DpoConfig::default().init().unwrap().forward(log_probs);
}

#[test]
#[should_panic(expected = "call `Dpo::forward_per_token`")]
fn a_length_normalized_loss_is_not_computed_without_lengths() {
    let dpo = DpoConfig {
        length_normalized: true,
        ..DpoConfig::default()
    }
    .init()
    .unwrap();
    dpo.forward(pairs(vector(&[1.0]), vector(&[0.0])));
}
