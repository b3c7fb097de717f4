//! Losses of pairs, from log-ratios. All return one loss per pair unless they say otherwise.

use ndarray::{Array1, Axis, concatenate};

use super::ratios::{LogRatios, Pairs, difference};
use super::scalar::{log_sigmoid, negative_log_sigmoid, positive_part, sigmoid};
use super::unpaired::KtoWeights;

/// DPO (arXiv 2305.18290, equation 7): `L(z)`.
pub fn dpo(ratios: &LogRatios, beta: f64) -> Array1<f64> {
    ratios.each(|a, b| negative_log_sigmoid(beta * (a - b)))
}

/// cDPO (Mitchell 2023): `(1 - e) L(z) + e L(-z)`.
pub fn conservative_dpo(ratios: &LogRatios, beta: f64, flipped: f64) -> Array1<f64> {
    ratios.each(|a, b| smoothed(beta * (a - b), flipped))
}

/// Robust DPO (arXiv 2403.00409): `((1 - e) L(z) - e L(-z)) / (1 - 2 e)`.
pub fn robust_dpo(ratios: &LogRatios, beta: f64, flipped: f64) -> Array1<f64> {
    ratios.each(|a, b| {
        let z = beta * (a - b);
        let kept = (1.0 - flipped) * negative_log_sigmoid(z);
        (kept - flipped * negative_log_sigmoid(-z)) / (1.0 - 2.0 * flipped)
    })
}

/// IPO (arXiv 2310.12036, equation 17): `(a - b - 1/(2 beta))^2`.
pub fn ipo(ratios: &LogRatios, beta: f64) -> Array1<f64> {
    ratios.each(|a, b| square(a - b - 0.5 / beta))
}

/// Hinge (arXiv 2309.06657, 2305.10425): `max(0, 1 - z)`.
pub fn hinge(ratios: &LogRatios, beta: f64) -> Array1<f64> {
    ratios.each(|a, b| positive_part(1.0 - beta * (a - b)))
}

/// EXO for pairs (arXiv 2402.00856): the KL of `(s(z), s(-z))` to `(1 - e, e)`,
/// `s(z) (log s(z) - log(1 - e)) + s(-z) (log s(-z) - log e)`. Infinite for `e = 0`.
pub fn exo(ratios: &LogRatios, beta: f64, flipped: f64) -> Array1<f64> {
    ratios.each(|a, b| {
        let z = beta * (a - b);
        sigmoid(z) * (log_sigmoid(z) - (-flipped).ln_1p())
            + sigmoid(-z) * (log_sigmoid(-z) - flipped.ln())
    })
}

/// NCA (arXiv 2402.05369): `L(beta a) + L(-beta a)/2 + L(-beta b)/2`.
pub fn nca(ratios: &LogRatios, beta: f64) -> Array1<f64> {
    ratios.each(|a, b| {
        negative_log_sigmoid(beta * a)
            + 0.5 * negative_log_sigmoid(-beta * a)
            + 0.5 * negative_log_sigmoid(-beta * b)
    })
}

/// BCO (arXiv 2404.04656): `L(beta a - delta) + L(delta - beta b)`, with `delta` the shift of the
/// rewards.
pub fn bco(ratios: &LogRatios, beta: f64, delta: f64) -> Array1<f64> {
    ratios.each(|a, b| {
        negative_log_sigmoid(beta * a - delta) + negative_log_sigmoid(delta - beta * b)
    })
}

/// SPPO-hard (arXiv 2405.00675): `(a - 1/(2 beta))^2 + (b + 1/(2 beta))^2`.
pub fn sppo_hard(ratios: &LogRatios, beta: f64) -> Array1<f64> {
    ratios.each(|a, b| square(a - 0.5 / beta) + square(b + 0.5 / beta))
}

/// AOT for pairs (arXiv 2406.05882): with `x` the sorted `policy_chosen - policy_rejected` minus
/// the sorted `reference_chosen - reference_rejected`, `(1 - e) L(beta x) + e L(-beta x)`.
///
/// Losses are in sorted order, not in the order of the pairs.
///
/// # Panics
///
/// If the four arrays differ in length.
pub fn aot(pairs: &Pairs<'_>, beta: f64, flipped: f64) -> Array1<f64> {
    let policy = difference(pairs.policy_chosen, pairs.policy_rejected);
    let reference = difference(pairs.reference_chosen, pairs.reference_rejected);
    quantiles(policy, reference, beta, flipped)
}

/// AOT unpaired (arXiv 2406.05882): the same with `x` the sorted `a` minus the sorted `b`.
///
/// Losses are in sorted order, not in the order of the pairs.
pub fn aot_unpaired(ratios: &LogRatios, beta: f64, flipped: f64) -> Array1<f64> {
    quantiles(
        ratios.chosen.clone(),
        ratios.rejected.clone(),
        beta,
        flipped,
    )
}

fn quantiles(upper: Array1<f64>, lower: Array1<f64>, beta: f64, flipped: f64) -> Array1<f64> {
    let gaps = difference(sorted(upper).view(), sorted(lower).view());
    gaps.mapv(|x| smoothed(beta * x, flipped))
}

fn sorted(values: Array1<f64>) -> Array1<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.into()
}

/// APO-zero (arXiv 2408.06266): `s(-beta a) + s(beta b)`.
pub fn apo_zero(ratios: &LogRatios, beta: f64) -> Array1<f64> {
    ratios.each(|a, b| sigmoid(-beta * a) + sigmoid(beta * b))
}

/// APO-down (arXiv 2408.06266): `s(beta a) + s(-z)`.
pub fn apo_down(ratios: &LogRatios, beta: f64) -> Array1<f64> {
    ratios.each(|a, b| sigmoid(beta * a) + sigmoid(-beta * (a - b)))
}

/// DiscoPOP (arXiv 2406.08414): `s(-z/tau) L(z) + s(z/tau) exp(-z)`.
pub fn discopop(ratios: &LogRatios, beta: f64, tau: f64) -> Array1<f64> {
    ratios.each(|a, b| {
        let z = beta * (a - b);
        // exp(-z) alone overflows where the product is nearly 0.
        sigmoid(-z / tau) * negative_log_sigmoid(z) + (log_sigmoid(z / tau) - z).exp()
    })
}

/// KTO from pairs (arXiv 2404.02078, Section 4.1): the mean of the losses of both responses,
/// `(lambda+ s(-beta (a - K)) + lambda- s(-beta (K - b))) / 2`.
pub fn kto_pairs(ratios: &LogRatios, kl: f64, beta: f64, weights: KtoWeights) -> Array1<f64> {
    ratios.each(|a, b| {
        0.5 * (weights.desirable * sigmoid(-beta * (a - kl))
            + weights.undesirable * sigmoid(-beta * (kl - b)))
    })
}

/// KTO as its early report had it: the KL of each side is the mean log-ratio of the other side's
/// batch, clamped at 0 (a gradient flows through it).
///
/// With `K_c = max(0, mean a)` and `K_r = max(0, mean b)`: `s(-beta (a - K_r))` of all chosen
/// responses, then `s(-beta (K_c - b))` of all rejected ones, `[2 pairs]`.
pub fn kto_batch(ratios: &LogRatios, beta: f64) -> Array1<f64> {
    let mean = |side: &Array1<f64>| positive_part(side.sum() / side.len() as f64);
    let (kl_chosen, kl_rejected) = (mean(&ratios.chosen), mean(&ratios.rejected));
    let chosen = ratios.chosen.mapv(|a| sigmoid(-beta * (a - kl_rejected)));
    let rejected = ratios.rejected.mapv(|b| sigmoid(-beta * (kl_chosen - b)));
    concatenate![Axis(0), chosen, rejected]
}

/// `(1 - e) L(x) + e L(-x)`.
pub(super) fn smoothed(x: f64, flipped: f64) -> f64 {
    (1.0 - flipped) * negative_log_sigmoid(x) + flipped * negative_log_sigmoid(-x)
}

fn square(x: f64) -> f64 {
    x * x
}
