//! What each configuration means, said in terms of the oracle.

use ndarray::{Array1, ArrayView1};
use pref_losses::oracle::{self, KtoWeights, LogRatios, Pairs};
use pref_losses::{
    AotPairing, ApoVariant, CpoForm, Divergence, DivergenceConstant, KlEstimate, KtoConfig,
    LabelSmoothing, PreferenceLossConfig, RewardLossConfig, SftNormalization, SimpoMargin,
    SumConfig, UnpairedLossConfig,
};

use super::batch::Wide;

/// Step of the differences, in nats.
pub const STEP: f64 = 1e-4;

pub const KL_ESTIMATES: [KlEstimate; 3] =
    [KlEstimate::Mean, KlEstimate::NonZeroMean, KlEstimate::Zero];

#[derive(Debug, Clone, Copy)]
pub enum Side {
    Chosen,
    Rejected,
}

/// Losses and rewards of pairs.
pub struct Output {
    pub losses: Array1<f64>,
    pub rewards: (Array1<f64>, Array1<f64>),
}

/// Exponentials of large log-ratios lose all digits of f32 in the difference of two.
const EXPONENTIAL_SCALE: f32 = 1.0;
const LARGEST_SCALE: f32 = 512.0;

/// Size of log-probs up to which f32 can do what is asked.
pub fn largest_scale(config: &PreferenceLossConfig) -> f32 {
    use PreferenceLossConfig as P;
    let of = |divergence: Divergence| match divergence {
        Divergence::ReverseKl | Divergence::JensenShannon => LARGEST_SCALE,
        Divergence::ForwardKl | Divergence::Alpha(_) => EXPONENTIAL_SCALE,
    };
    match config {
        P::Dpo(config) => of(config.divergence),
        P::Ipo(config) => of(config.divergence),
        P::Hinge(config) => of(config.divergence),
        P::Exo(config) => of(config.divergence),
        P::Discopop(config) => of(config.divergence),
        P::Simpo(config) if config.alpha != 0.0 => EXPONENTIAL_SCALE,
        P::Sum(config) => config
            .terms
            .iter()
            .map(|term| largest_scale(&term.loss))
            .fold(LARGEST_SCALE, f32::min),
        _ => LARGEST_SCALE,
    }
}

/// A step that stays where the loss is defined.
pub fn step(config: &PreferenceLossConfig, at: &Array1<f64>) -> f64 {
    match config {
        // Log-probs must stay below 0.
        PreferenceLossConfig::Orpo(_) => at
            .iter()
            .fold(STEP, |step, log_prob| step.min(2e-3 * log_prob.abs())),
        _ => STEP,
    }
}

/// True where a difference would reach over a kink.
pub fn is_near_kink(config: &PreferenceLossConfig, batch: &Wide) -> bool {
    use PreferenceLossConfig as P;
    let near = |distances: Array1<f64>| distances.iter().any(|distance| distance.abs() < 1e-2);
    let ratios = ratios(batch);
    match config {
        P::Hinge(config) => {
            let scores = scores(config.divergence, &ratios);
            near(scores.each(|a, b| 1.0 - config.beta * (a - b)))
        }
        P::Cpo(config) if config.form == CpoForm::Hinge => {
            near(policy(batch).each(|a, b| 1.0 - config.beta * (a - b)))
        }
        P::Slic(config) => near(policy(batch).each(|a, b| config.threshold - a + b)),
        P::KtoPair(_) => [&ratios.chosen, &ratios.rejected]
            .iter()
            .any(|side| (side.sum() / side.len() as f64).abs() < 3.0 * STEP),
        // Ties have no order.
        P::Aot(config) => match config.pairing {
            AotPairing::Unpaired => has_ties(&ratios.chosen) || has_ties(&ratios.rejected),
            AotPairing::Paired => has_ties(&(&batch.policy_chosen - &batch.policy_rejected)),
        },
        P::Sum(config) => config
            .terms
            .iter()
            .any(|term| is_near_kink(&term.loss, batch)),
        _ => false,
    }
}

fn has_ties(values: &Array1<f64>) -> bool {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.windows(2).any(|pair| pair[1] - pair[0] < 5.0 * STEP)
}

fn pairs(batch: &Wide) -> Pairs<'_> {
    Pairs {
        policy_chosen: batch.policy_chosen.view(),
        policy_rejected: batch.policy_rejected.view(),
        reference_chosen: batch.reference_chosen.view(),
        reference_rejected: batch.reference_rejected.view(),
    }
}

fn ratios(batch: &Wide) -> LogRatios {
    pairs(batch).log_ratios()
}

fn policy(batch: &Wide) -> LogRatios {
    LogRatios::without_reference(batch.policy_chosen.view(), batch.policy_rejected.view())
}

fn per_token(values: &LogRatios, batch: &Wide) -> LogRatios {
    values.per_token(batch.chosen_lengths.view(), batch.rejected_lengths.view())
}

fn divergence(divergence: Divergence) -> oracle::Divergence {
    match divergence {
        Divergence::ReverseKl => oracle::Divergence::ReverseKl,
        Divergence::ForwardKl => oracle::Divergence::ForwardKl,
        Divergence::JensenShannon => oracle::Divergence::JensenShannon,
        Divergence::Alpha(alpha) => oracle::Divergence::Alpha(alpha),
    }
}

fn scores(of: Divergence, ratios: &LogRatios) -> LogRatios {
    divergence(of).scores(ratios)
}

/// Scores of losses that may divide by lengths.
fn normalized_scores(
    of: Divergence,
    constant: DivergenceConstant,
    is_per_token: bool,
    batch: &Wide,
) -> LogRatios {
    let ratios = ratios(batch);
    if !is_per_token {
        return scores(of, &ratios);
    }
    let of = divergence(of);
    let scores = match constant {
        DivergenceConstant::Kept => of.scores(&ratios),
        DivergenceConstant::Dropped => ratios.map(|x| of.score_without_constant(x)),
    };
    per_token(&scores, batch)
}

fn kto_weights(config: &KtoConfig) -> KtoWeights {
    KtoWeights {
        desirable: config.desirable_weight,
        undesirable: config.undesirable_weight,
    }
}

/// The KL estimate of mismatched log-ratios.
pub fn kl(estimate: KlEstimate, mismatched: ArrayView1<f64>) -> f64 {
    match estimate {
        KlEstimate::Mean => oracle::mean_kl(mismatched),
        KlEstimate::NonZeroMean => oracle::non_zero_mean_kl(mismatched),
        KlEstimate::Zero => 0.0,
    }
}

/// The KL term of a batch that brings its estimate.
fn given_kl(estimate: KlEstimate, batch: &Wide) -> f64 {
    match estimate {
        KlEstimate::Zero => 0.0,
        KlEstimate::Mean | KlEstimate::NonZeroMean => batch.kl,
    }
}

pub fn preference(config: &PreferenceLossConfig, batch: &Wide) -> Output {
    use PreferenceLossConfig as P;
    let ratios = ratios(batch);
    let output = |losses, beta| Output {
        losses,
        rewards: ratios.rewards(beta),
    };
    match config {
        P::Dpo(config) => {
            let (beta, rate) = (config.beta, config.label_smoothing);
            let scores = normalized_scores(
                config.divergence,
                config.divergence_constant,
                config.length_normalized,
                batch,
            );
            let losses = match config.smoothing {
                LabelSmoothing::Conservative => oracle::conservative_dpo(&scores, beta, rate),
                LabelSmoothing::Robust => oracle::robust_dpo(&scores, beta, rate),
            };
            output(losses, beta)
        }
        P::Ipo(config) => {
            let scores = normalized_scores(
                config.divergence,
                config.divergence_constant,
                config.length_normalized,
                batch,
            );
            output(oracle::ipo(&scores, config.beta), config.beta)
        }
        P::Hinge(config) => {
            let scores = scores(config.divergence, &ratios);
            output(oracle::hinge(&scores, config.beta), config.beta)
        }
        P::Nca(config) => output(oracle::nca(&ratios, config.beta), config.beta),
        P::Kto(config) => {
            let kl = given_kl(config.kl, batch);
            let losses = oracle::kto_pairs(&ratios, kl, config.beta, kto_weights(config));
            output(losses, config.beta)
        }
        P::KtoPair(config) => {
            let both = oracle::kto_batch(&ratios, config.beta);
            let (chosen, rejected) = both.view().split_at(ndarray::Axis(0), both.len() / 2);
            output((&chosen + &rejected) * 0.5, config.beta)
        }
        P::Exo(config) => {
            let scores = scores(config.divergence, &ratios);
            let losses = oracle::exo(&scores, config.beta, config.label_smoothing);
            output(losses, config.beta)
        }
        P::Bco(config) => output(oracle::bco(&ratios, config.beta, batch.shift), config.beta),
        P::Sppo(config) => output(oracle::sppo_hard(&ratios, config.beta), config.beta),
        P::Aot(config) => {
            let (beta, rate) = (config.beta, config.label_smoothing);
            let losses = match config.pairing {
                AotPairing::Paired => oracle::aot(&pairs(batch), beta, rate),
                AotPairing::Unpaired => oracle::aot_unpaired(&ratios, beta, rate),
            };
            output(losses, beta)
        }
        P::Apo(config) => {
            let losses = match config.variant {
                ApoVariant::Zero => oracle::apo_zero(&ratios, config.beta),
                ApoVariant::Down => oracle::apo_down(&ratios, config.beta),
            };
            output(losses, config.beta)
        }
        P::Discopop(config) => {
            let scores = scores(config.divergence, &ratios);
            output(
                oracle::discopop(&scores, config.beta, config.tau),
                config.beta,
            )
        }
        P::Simpo(config) => {
            let means = per_token(&policy(batch), batch);
            let score = |side: &Array1<f64>| oracle::alpha_score(side.view(), config.alpha);
            let scores = LogRatios::new(score(&means.chosen), score(&means.rejected));
            let gamma = match config.margin {
                SimpoMargin::Gamma(gamma) => gamma,
                SimpoMargin::GammaBetaRatio(ratio) => config.beta * ratio,
            };
            Output {
                losses: oracle::simpo(&scores, config.beta, gamma, config.label_smoothing),
                rewards: scores.rewards(config.beta),
            }
        }
        P::Orpo(config) => {
            let means = per_token(&policy(batch), batch);
            Output {
                losses: oracle::orpo(&means) * config.beta - &means.chosen * config.sft_weight,
                rewards: means.rewards(config.beta),
            }
        }
        P::Cpo(config) => {
            let values = match config.form {
                CpoForm::Ipo => per_token(&policy(batch), batch),
                CpoForm::Sigmoid | CpoForm::Hinge => policy(batch),
            };
            let losses = match config.form {
                CpoForm::Sigmoid => {
                    oracle::conservative_dpo(&values, config.beta, config.label_smoothing)
                }
                CpoForm::Hinge => oracle::hinge(&values, config.beta),
                CpoForm::Ipo => oracle::ipo(&values, config.beta),
            };
            Output {
                losses,
                rewards: values.rewards(config.beta),
            }
        }
        P::Slic(config) => Output {
            losses: oracle::slic(&policy(batch), config.threshold, config.sft_weight),
            rewards: policy(batch).rewards(1.0),
        },
        P::Sum(config) => sum(config, batch),
        other => panic!("the preference loss `{}` has no oracle here", other.name()),
    }
}

fn sum(config: &SumConfig, batch: &Wide) -> Output {
    let lengths = &batch.chosen_lengths;
    let sft = -match config.sft_normalization {
        SftNormalization::Responses => &batch.policy_chosen / lengths,
        SftNormalization::Tokens => {
            let mean = lengths.sum() / lengths.len() as f64;
            &batch.policy_chosen / mean
        }
    };
    let mut losses = sft * config.sft_weight;
    let mut rewards = None;
    for term in &config.terms {
        let output = preference(&term.loss, batch);
        losses += &(output.losses * term.weight);
        // Those of the first term are reported.
        rewards.get_or_insert(output.rewards);
    }
    Output {
        losses,
        rewards: rewards.expect("a sum has terms"),
    }
}

pub fn reward(
    config: &RewardLossConfig,
    chosen: ArrayView1<f64>,
    rejected: ArrayView1<f64>,
    margin: Option<ArrayView1<f64>>,
    rows: Option<ArrayView1<bool>>,
) -> Array1<f64> {
    let centering = |coefficient: f64| oracle::centering(chosen, rejected, coefficient);
    match config {
        RewardLossConfig::BradleyTerry(config) => {
            oracle::bradley_terry(chosen, rejected, margin) + centering(config.center_coefficient)
        }
        RewardLossConfig::UltraInteract(config) => {
            oracle::ultra_interact(chosen, rejected, margin, rows, config.direct_weight)
                + centering(config.center_coefficient)
        }
        RewardLossConfig::Ldr(_) => oracle::direct_reward(chosen, rejected),
        other => panic!("the reward loss `{}` has no oracle here", other.name()),
    }
}

/// Losses and rewards of responses.
pub fn unpaired(
    config: &UnpairedLossConfig,
    ratios: ArrayView1<f64>,
    batch: &Wide,
) -> (Array1<f64>, Array1<f64>) {
    let desirable = batch.verdicts.view();
    let (losses, beta) = match config {
        UnpairedLossConfig::Kto(config) => {
            let kl = given_kl(config.kl, batch);
            let losses = oracle::kto(ratios, desirable, kl, config.beta, kto_weights(config));
            (losses, config.beta)
        }
        UnpairedLossConfig::Bco(config) => (
            oracle::bco_unpaired(ratios, desirable, config.beta, batch.shift),
            config.beta,
        ),
        UnpairedLossConfig::ApoZero(config) => {
            let weights = KtoWeights {
                desirable: config.desirable_weight,
                undesirable: config.undesirable_weight,
            };
            let losses = oracle::kto(ratios, desirable, 0.0, config.beta, weights);
            (losses, config.beta)
        }
        other => panic!("the unpaired loss `{}` has no oracle here", other.name()),
    };
    (losses, &ratios * beta)
}
