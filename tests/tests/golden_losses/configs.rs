//! Which configuration of the crate is meant by a case.

use pref_losses::{
    AotConfig, AotPairing, ApoConfig, ApoVariant, BcoConfig, CpoConfig, CpoForm, DiscopopConfig,
    Divergence, DivergenceConstant, DpoConfig, ExoConfig, HingeConfig, IpoConfig, KtoPairConfig,
    LabelSmoothing, NcaConfig, OrpoConfig, PreferenceLossConfig, SimpoConfig, SimpoMargin,
    SlicConfig, SppoConfig,
};

use super::case::Case;

/// The configuration of a case's loss.
pub fn paired(case: &Case<'_>) -> Result<PreferenceLossConfig, String> {
    match case.loss() {
        "wpo_capped" | "e2e_wpo_capped" => match case.word("loss_type") {
            Some("sigmoid") => by_name(case, "cdpo"),
            other => Err(format!("unknown loss_type {other:?}")),
        },
        "fdpo" | "fdpo_trl110" | "e2e_dpo" | "wpo" | "e2e_wpo" | "ld_dpo" | "e2e_ld_dpo"
        | "wpo_ld_dpo" => {
            let loss = case
                .word("loss_type")
                .ok_or("no `loss_type` in its config")?;
            by_name(case, loss)
        }
        "fdpo_trl012_alpha" => {
            let alpha = 1.0 - case.number("alpha_coef")?;
            Ok(PreferenceLossConfig::Dpo(DpoConfig {
                beta: case.number("beta")?,
                divergence: Divergence::Alpha(alpha),
                ..DpoConfig::default()
            }))
        }
        "cpo" | "alphapo" | "e2e_cpo" => cpo(case),
        loss => by_name(case, loss),
    }
}

/// The configuration that TRL, or the file, calls `loss`.
fn by_name(case: &Case<'_>, loss: &str) -> Result<PreferenceLossConfig, String> {
    let smoothing = case.setting("label_smoothing").unwrap_or(0.0);
    let divergence = divergence(case)?;
    let constant = if case.loss() == "fdpo_trl110" {
        DivergenceConstant::Dropped
    } else {
        DivergenceConstant::Kept
    };
    if loss == "slic_halos" {
        let slic = SlicConfig {
            threshold: case.number("beta")?,
            sft_weight: case.number("lambda_coef")?,
        };
        return Ok(PreferenceLossConfig::Slic(slic));
    }
    if loss == "orpo_halos" {
        let orpo = OrpoConfig {
            beta: case.number("or_scale")?,
            ..OrpoConfig::default()
        };
        return Ok(PreferenceLossConfig::Orpo(orpo));
    }
    let beta = case.number("beta")?;
    let dpo = || DpoConfig {
        beta,
        divergence,
        divergence_constant: constant,
        ..DpoConfig::default()
    };
    let ipo = || IpoConfig {
        beta,
        divergence,
        divergence_constant: constant,
        ..IpoConfig::default()
    };
    let aot = |pairing| {
        PreferenceLossConfig::Aot(AotConfig {
            beta,
            label_smoothing: smoothing,
            pairing,
        })
    };
    let apo = |variant| PreferenceLossConfig::Apo(ApoConfig { beta, variant });
    Ok(match loss {
        "dpo" | "sigmoid" => PreferenceLossConfig::Dpo(dpo()),
        "cdpo" => PreferenceLossConfig::Dpo(DpoConfig {
            label_smoothing: smoothing,
            ..dpo()
        }),
        "robust" => PreferenceLossConfig::Dpo(DpoConfig {
            label_smoothing: smoothing,
            smoothing: LabelSmoothing::Robust,
            ..dpo()
        }),
        "sigmoid_norm" => PreferenceLossConfig::Dpo(DpoConfig {
            length_normalized: true,
            ..dpo()
        }),
        "ipo_sum" => PreferenceLossConfig::Ipo(ipo()),
        "ipo" | "ipo_halos_tokens" => PreferenceLossConfig::Ipo(IpoConfig {
            length_normalized: true,
            ..ipo()
        }),
        "hinge" => PreferenceLossConfig::Hinge(HingeConfig { beta, divergence }),
        "nca_pair" => PreferenceLossConfig::Nca(NcaConfig { beta }),
        "exo_pair" => PreferenceLossConfig::Exo(ExoConfig {
            beta,
            label_smoothing: case.number("label_smoothing")?,
            divergence,
        }),
        "bco_pair" | "bco_pair_delta" => PreferenceLossConfig::Bco(BcoConfig { beta }),
        "sppo_hard" => PreferenceLossConfig::Sppo(SppoConfig { beta }),
        "aot" => aot(AotPairing::Paired),
        "aot_unpaired" => aot(AotPairing::Unpaired),
        "apo_zero" => apo(ApoVariant::Zero),
        "apo_down" => apo(ApoVariant::Down),
        "discopop" => PreferenceLossConfig::Discopop(DiscopopConfig {
            beta,
            tau: case.number("tau")?,
            divergence,
        }),
        "kto_pair" => PreferenceLossConfig::KtoPair(KtoPairConfig { beta }),
        "simpo_trl" => simpo(case, SimpoMargin::Gamma(case.number("simpo_gamma")?))?,
        "simpo_halos" => {
            let ratio = case.number("gamma_beta_ratio")?;
            simpo(case, SimpoMargin::GammaBetaRatio(ratio))?
        }
        // The SFT term comes with the case, as `nll`.
        "orpo_trl" | "e2e_orpo" => PreferenceLossConfig::Orpo(OrpoConfig {
            beta,
            sft_weight: 0.0,
        }),
        _ => return Err(format!("unknown loss `{loss}`")),
    })
}

/// The losses of TRL's CPO trainer, without their SFT term.
fn cpo(case: &Case<'_>) -> Result<PreferenceLossConfig, String> {
    let form = match case.word("loss_type") {
        Some("sigmoid") => CpoForm::Sigmoid,
        Some("hinge") => CpoForm::Hinge,
        Some("ipo") => CpoForm::Ipo,
        Some("simpo") => return simpo(case, SimpoMargin::Gamma(case.number("simpo_gamma")?)),
        other => return Err(format!("unknown loss_type {other:?}")),
    };
    let cpo = CpoConfig {
        beta: case.number("beta")?,
        form,
        ..CpoConfig::default()
    };
    let smoothing = case.setting("label_smoothing").unwrap_or(0.0);
    Ok(PreferenceLossConfig::Cpo(match form {
        CpoForm::Sigmoid => CpoConfig {
            label_smoothing: smoothing,
            ..cpo
        },
        CpoForm::Hinge | CpoForm::Ipo => cpo,
    }))
}

fn simpo(case: &Case<'_>, margin: SimpoMargin) -> Result<PreferenceLossConfig, String> {
    Ok(PreferenceLossConfig::Simpo(SimpoConfig {
        beta: case.number("beta")?,
        margin,
        label_smoothing: case.setting("label_smoothing").unwrap_or(0.0),
        alpha: case.setting("alpha").unwrap_or(0.0),
    }))
}

fn divergence(case: &Case<'_>) -> Result<Divergence, String> {
    Ok(match case.word("f_divergence") {
        None | Some("reverse_kl") => Divergence::ReverseKl,
        Some("forward_kl") => Divergence::ForwardKl,
        Some("js_divergence") => Divergence::JensenShannon,
        Some("alpha_divergence") => Divergence::Alpha(case.number("alpha_coef")?),
        Some(other) => return Err(format!("unknown f_divergence `{other}`")),
    })
}
