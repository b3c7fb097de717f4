//! Which function of the oracle is meant by a loss of the golden file.

use ndarray::{Array1, ArrayView1, Ix1};
use pref_losses::oracle::{self, Divergence, KtoWeights, LogRatios, Pairs};

use super::case::{Case, Values};
use super::{parts, tokens};

pub fn values(case: &Case<'_>) -> Values {
    let loss = case.loss();
    match loss {
        "rm_norm_bt" | "rm_norm_bt_head" => parts::weighted_rewards(case),
        _ if loss.starts_with("rm_") => reward(case, loss),
        "wpo" | "wpo_capped" | "ld_dpo" | "wpo_ld_dpo" => parts::token_pairs(case),
        "e2e_wpo" | "e2e_wpo_capped" | "e2e_ld_dpo" => parts::end_to_end(case),
        "ipo_halos_tokens" => ipo_of_changed_tokens(case),
        "simpo_trl" | "simpo_halos" | "slic_halos" | "cpo" | "alphapo" => policy_alone(case, loss),
        "orpo_trl" | "orpo_halos" => odds(case, loss),
        "nca_k" | "infonca_k" => responses(case, loss),
        _ if loss.starts_with("kto_") && loss != "kto_pair" => verdicts(case, loss),
        "token_logps" => tokens::aligned(case),
        "batch_logps" => tokens::causal(case),
        "sft_ce" => tokens::cross_entropy(case),
        "e2e_dpo" => tokens::end_to_end_pairs(case),
        "e2e_cpo" => tokens::end_to_end_cpo(case),
        "e2e_orpo" => tokens::end_to_end_orpo(case),
        "e2e_kto" => tokens::end_to_end_kto(case),
        _ => policy_and_reference(case, loss),
    }
}

pub fn mean(values: &Array1<f64>) -> f64 {
    values.sum() / values.len() as f64
}

/// `loss` and `losses`, then the rest.
pub fn reduced(losses: Array1<f64>, rest: Vec<(&'static str, Array1<f64>)>) -> Values {
    let mut values = vec![
        ("loss", vec![mean(&losses)]),
        ("losses", losses.into_raw_vec_and_offset().0),
    ];
    values.extend(rest.into_iter().map(|(name, array)| (name, array.to_vec())));
    values
}

/// Adds to the reduced loss what the reference adds after the mean.
pub fn plus(mut values: Values, term: f64) -> Values {
    for (name, value) in &mut values {
        if *name == "loss" {
            value[0] += term;
        }
    }
    values
}

pub fn rewards(chosen: Array1<f64>, rejected: Array1<f64>) -> Vec<(&'static str, Array1<f64>)> {
    let accuracy = oracle::accuracy(chosen.view(), rejected.view());
    let margin = oracle::margin(chosen.view(), rejected.view());
    vec![
        ("reward_accuracy", Array1::from_elem(1, accuracy)),
        ("reward_margin", Array1::from_elem(1, margin)),
        ("chosen_rewards", chosen),
        ("rejected_rewards", rejected),
    ]
}

fn reward(case: &Case<'_>, loss: &str) -> Values {
    let (chosen, rejected) = (
        case.vector("chosen_rewards"),
        case.vector("rejected_rewards"),
    );
    let (c, r) = (chosen.view(), rejected.view());
    let margin = case.has("inputs", "margin").then(|| case.vector("margin"));
    let margin = margin.as_ref().map(|array| array.view());
    let direct = case
        .has("inputs", "is_ultrainteract")
        .then(|| case.flags::<Ix1>("is_ultrainteract"));
    let direct = direct.as_ref().map(|array| array.view());
    let ranked = oracle::bradley_terry(c, r, margin);
    let both = oracle::ultra_interact(c, r, margin, direct, 1.0);
    let mut rest = rewards(chosen.clone(), rejected.clone());
    rest.push(("bt_losses", ranked.clone()));
    rest.push(("dr_losses", oracle::direct_reward(c, r)));
    match loss {
        "rm_bt" => reduced(ranked, rest),
        "rm_bt_centered" => {
            let penalty = oracle::centering(c, r, case.config("center_coef"));
            plus(reduced(ranked, rest), mean(&penalty))
        }
        "rm_ldr" => reduced(oracle::direct_reward(c, r), rest),
        "rm_ultrainteract" | "rm_ultrainteract_mixed" => reduced(both, rest),
        _ => panic!("{}: the oracle has no loss {loss}", case.name()),
    }
}

/// A loss of log-ratios by its name in the file; `loss_type` where a case has one of those.
pub fn pair_losses(case: &Case<'_>, loss: &str, ratios: &LogRatios) -> Array1<f64> {
    let beta = case.config("beta");
    let flipped = || case.config("label_smoothing");
    match loss {
        "dpo" | "sigmoid" | "sigmoid_norm" => oracle::dpo(ratios, beta),
        "cdpo" => oracle::conservative_dpo(ratios, beta, flipped()),
        "robust" => oracle::robust_dpo(ratios, beta, flipped()),
        "ipo" | "ipo_sum" => oracle::ipo(ratios, beta),
        "hinge" => oracle::hinge(ratios, beta),
        "exo_pair" => oracle::exo(ratios, beta, flipped()),
        "nca_pair" => oracle::nca(ratios, beta),
        "bco_pair" => oracle::bco(ratios, beta, 0.0),
        "bco_pair_delta" => oracle::bco(ratios, beta, case.config("delta")),
        "sppo_hard" => oracle::sppo_hard(ratios, beta),
        "aot_unpaired" => oracle::aot_unpaired(ratios, beta, flipped()),
        "apo_zero" => oracle::apo_zero(ratios, beta),
        "apo_down" => oracle::apo_down(ratios, beta),
        "discopop" => oracle::discopop(ratios, beta, case.config("tau")),
        "kto_pair" => oracle::kto_batch(ratios, beta),
        _ => panic!("{}: the oracle has no loss {loss}", case.name()),
    }
}

/// Which losses divide by the number of tokens.
pub fn is_per_token(loss: &str) -> bool {
    matches!(loss, "ipo" | "sigmoid_norm")
}

fn policy_and_reference(case: &Case<'_>, loss: &str) -> Values {
    let arrays = [
        "policy_chosen",
        "policy_rejected",
        "ref_chosen",
        "ref_rejected",
    ];
    let [
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
    ] = arrays.map(|key| case.vector(key));
    let pairs = Pairs {
        policy_chosen: policy_chosen.view(),
        policy_rejected: policy_rejected.view(),
        reference_chosen: reference_chosen.view(),
        reference_rejected: reference_rejected.view(),
    };
    let ratios = pairs.log_ratios();
    let (chosen, rejected) = ratios.rewards(case.config("beta"));
    let losses = if loss == "aot" {
        oracle::aot(&pairs, case.config("beta"), case.config("label_smoothing"))
    } else if loss == "fdpo_trl012_alpha" {
        // Alpha had the other sign there.
        let divergence = Divergence::Alpha(1.0 - case.config("alpha_coef"));
        pair_losses(case, "dpo", &divergence.scores(&ratios))
    } else if let Some(variant) = loss.strip_prefix("fdpo") {
        let divergence = divergence(case);
        let scores = match variant {
            "" => divergence.scores(&ratios),
            "_trl110" => ratios.map(|x| divergence.score_without_constant(x)),
            _ => panic!("{}: the oracle has no loss {loss}", case.name()),
        };
        let loss = case.choice("loss_type");
        pair_losses(case, loss, &normalized(case, scores))
    } else if is_per_token(loss) {
        pair_losses(case, loss, &normalized(case, ratios))
    } else {
        pair_losses(case, loss, &ratios)
    };
    reduced(losses, rewards(chosen, rejected))
}

fn divergence(case: &Case<'_>) -> Divergence {
    match case.choice("f_divergence") {
        "reverse_kl" => Divergence::ReverseKl,
        "forward_kl" => Divergence::ForwardKl,
        "js_divergence" => Divergence::JensenShannon,
        "alpha_divergence" => Divergence::Alpha(case.config("alpha_coef")),
        other => panic!("{}: the oracle has no divergence {other}", case.name()),
    }
}

/// Divided by lengths where the case has them.
fn normalized(case: &Case<'_>, ratios: LogRatios) -> LogRatios {
    if !case.has("inputs", "chosen_len") {
        return ratios;
    }
    let (chosen, rejected) = (case.vector("chosen_len"), case.vector("rejected_len"));
    ratios.per_token(chosen.view(), rejected.view())
}

fn ipo_of_changed_tokens(case: &Case<'_>) -> Values {
    let side = |side: &str| {
        let ratios = case.matrix(&format!("policy_{side}_tokens"))
            - case.matrix(&format!("ref_{side}_tokens"));
        let mask = case.flags(&format!("{side}_mask"));
        oracle::changed_token_means(ratios.view(), mask.view())
    };
    let ratios = LogRatios::new(side("chosen"), side("rejected"));
    let rest = rewards(ratios.chosen.clone(), ratios.rejected.clone());
    reduced(oracle::ipo(&ratios, case.config("beta")), rest)
}

fn policy_alone(case: &Case<'_>, loss: &str) -> Values {
    let (chosen, rejected) = (case.vector("policy_chosen"), case.vector("policy_rejected"));
    let log_probs = LogRatios::without_reference(chosen.view(), rejected.view());
    let beta = case.config("beta");
    match loss {
        "simpo_trl" => {
            let means = normalized(case, log_probs);
            let (chosen, rejected) = means.rewards(beta);
            reduced(cpo(case, "simpo", &means), rewards(chosen, rejected))
        }
        "simpo_halos" => {
            let means = normalized(case, log_probs);
            let gamma = beta * case.config("gamma_beta_ratio");
            let losses = oracle::simpo(&means, beta, gamma, 0.0);
            reduced(losses, rewards(means.chosen, means.rejected))
        }
        "slic_halos" => reduced(
            oracle::slic(&log_probs, beta, case.config("lambda_coef")),
            rewards(chosen, rejected),
        ),
        "cpo" | "alphapo" => {
            let log_probs = if loss == "cpo" {
                log_probs
            } else {
                let score = |side: ArrayView1<f64>| oracle::alpha_score(side, case.config("alpha"));
                LogRatios::new(score(chosen.view()), score(rejected.view()))
            };
            let losses = cpo(case, case.choice("loss_type"), &log_probs);
            let (chosen, rejected) = log_probs.rewards(beta);
            let nll = case.config("cpo_alpha") * case.vector("nll")[0];
            plus(reduced(losses, rewards(chosen, rejected)), nll)
        }
        _ => panic!("{}: the oracle has no loss {loss}", case.name()),
    }
}

/// The losses that CPO offers, on log-probs of the policy.
pub fn cpo(case: &Case<'_>, loss: &str, log_probs: &LogRatios) -> Array1<f64> {
    let (beta, flipped) = (case.config("beta"), case.config("label_smoothing"));
    match loss {
        "sigmoid" => oracle::conservative_dpo(log_probs, beta, flipped),
        "simpo" => oracle::simpo(log_probs, beta, case.config("simpo_gamma"), flipped),
        _ => pair_losses(case, loss, log_probs),
    }
}

fn odds(case: &Case<'_>, loss: &str) -> Values {
    let means = LogRatios::new(
        case.vector("policy_chosen_avg"),
        case.vector("policy_rejected_avg"),
    );
    let losses = oracle::orpo(&means);
    if loss == "orpo_trl" {
        let beta = case.config("beta");
        let (chosen, rejected) = means.rewards(beta);
        let values = reduced(losses * beta, rewards(chosen, rejected));
        return plus(values, case.vector("nll")[0]);
    }
    let odds = means.map(oracle::log_odds);
    let losses = losses * case.config("or_scale") - &means.chosen;
    reduced(losses, rewards(odds.chosen, odds.rejected))
}

fn responses(case: &Case<'_>, loss: &str) -> Values {
    let beta = case.config("beta");
    let ratios = case.matrix("policy") - case.matrix("ref");
    let weights = oracle::target_weights(
        case.matrix("scores").view(),
        case.config("temperature"),
        case.config("first_bonus"),
    );
    let losses = match loss {
        "nca_k" => oracle::nca_k(ratios.view(), weights.view(), beta),
        _ => oracle::info_nca_k(ratios.view(), weights.view(), beta),
    };
    let rest = vec![
        ("rewards", (ratios * beta).flatten().into_owned()),
        ("soft_labels", weights.flatten().into_owned()),
    ];
    reduced(losses, rest)
}

pub fn kto_weights(case: &Case<'_>) -> KtoWeights {
    KtoWeights {
        desirable: case.config("desirable_weight"),
        undesirable: case.config("undesirable_weight"),
    }
}

fn verdicts(case: &Case<'_>, loss: &str) -> Values {
    let beta = case.config("beta");
    let ratios = case.vector("policy") - case.vector("ref");
    let mismatched = || case.vector("policy_kl") - case.vector("ref_kl");
    let kl = match loss {
        "kto_trl" => oracle::mean_kl(mismatched().view()),
        "kto_halos" => oracle::non_zero_mean_kl(mismatched().view()),
        "kto_apo_zero_unpaired" => 0.0,
        _ => panic!("{}: the oracle has no loss {loss}", case.name()),
    };
    let desirable = case.flags::<Ix1>("labels");
    let losses = oracle::kto(ratios.view(), desirable.view(), kl, beta, kto_weights(case));
    // HALOs reports the log-ratio itself.
    let scale = if loss == "kto_halos" { 1.0 } else { beta };
    let rest = vec![
        ("rewards", ratios * scale),
        ("kl", Array1::from_elem(1, kl)),
    ];
    reduced(losses, rest)
}
