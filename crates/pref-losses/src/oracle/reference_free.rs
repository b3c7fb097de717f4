//! Losses that need no reference model.

use ndarray::{Array1, ArrayView1};

use super::paired::smoothed;
use super::ratios::LogRatios;
use super::scalar::{log_one_minus_exp, negative_log_sigmoid, positive_part};

/// SimPO (arXiv 2405.14734, equation 6): with `x = beta (a - b) - gamma`,
/// `(1 - e) L(x) + e L(-x)`.
///
/// `a` and `b` are mean log-probs of the policy:
/// [`LogRatios::without_reference`] then [`LogRatios::per_token`].
pub fn simpo(means: &LogRatios, beta: f64, gamma: f64, flipped: f64) -> Array1<f64> {
    means.each(|a, b| smoothed(beta * (a - b) - gamma, flipped))
}

/// SLiC (arXiv 2305.10425): `max(0, delta - a + b) - weight a`, with `a` and `b` log-probs of the
/// policy.
pub fn slic(log_probs: &LogRatios, delta: f64, weight: f64) -> Array1<f64> {
    log_probs.each(|a, b| positive_part(delta - a + b) - weight * a)
}

/// The odds-ratio term of ORPO (arXiv 2403.07691, equation 7): `L(odds(a) - odds(b))`, with `a`
/// and `b` mean log-probs of the policy, below 0, and `odds` the [`log_odds`].
pub fn orpo(means: &LogRatios) -> Array1<f64> {
    means.each(|a, b| negative_log_sigmoid(log_odds(a) - log_odds(b)))
}

/// `log(p / (1 - p))` of a log-probability below 0.
pub fn log_odds(log_prob: f64) -> f64 {
    log_prob - log_one_minus_exp(log_prob)
}

/// AlphaPO's score (arXiv 2501.03884): `(1 - exp(-alpha x)) / alpha` of mean log-probs; `x` for
/// alpha 0. Its loss is [`simpo`] of the scores.
pub fn alpha_score(log_probs: ArrayView1<f64>, alpha: f64) -> Array1<f64> {
    log_probs.mapv(|x| {
        if alpha == 0.0 {
            x
        } else {
            -(-alpha * x).exp_m1() / alpha
        }
    })
}
