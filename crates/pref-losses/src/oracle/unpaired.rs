//! Losses of responses with a verdict each.

use ndarray::{Array1, ArrayView1, Zip};

use super::ratios::assert_same_len;
use super::scalar::{negative_log_sigmoid, positive_part, sigmoid};

/// KTO's weights of the two verdicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KtoWeights {
    /// lambda+.
    pub desirable: f64,
    /// lambda-.
    pub undesirable: f64,
}

/// KTO (arXiv 2402.01306, equation 8), one loss per response: `lambda+ s(-beta (x - K))` where
/// desirable, `lambda- s(-beta (K - x))` elsewhere, with `x` the log-ratio. `K = 0` is APO-zero
/// unpaired (arXiv 2408.06266).
///
/// # Panics
///
/// If the two arrays differ in length.
pub fn kto(
    ratios: ArrayView1<f64>,
    desirable: ArrayView1<bool>,
    kl: f64,
    beta: f64,
    weights: KtoWeights,
) -> Array1<f64> {
    each(ratios, desirable, |x, desirable| {
        if desirable {
            weights.desirable * sigmoid(-beta * (x - kl))
        } else {
            weights.undesirable * sigmoid(-beta * (kl - x))
        }
    })
}

/// BCO (arXiv 2404.04656), one loss per response: `L(beta x - delta)` where desirable,
/// `L(delta - beta x)` elsewhere.
///
/// # Panics
///
/// If the two arrays differ in length.
pub fn bco_unpaired(
    ratios: ArrayView1<f64>,
    desirable: ArrayView1<bool>,
    beta: f64,
    delta: f64,
) -> Array1<f64> {
    each(ratios, desirable, |x, desirable| {
        let lead = beta * x - delta;
        negative_log_sigmoid(if desirable { lead } else { -lead })
    })
}

/// KL estimate: the mean of mismatched log-ratios, not below 0; 0 without any.
pub fn mean_kl(mismatched: ArrayView1<f64>) -> f64 {
    positive_part(mismatched.sum() / mismatched.len().max(1) as f64)
}

/// KL estimate: the mean of those mismatched log-ratios that are not exactly 0, not below 0.
pub fn non_zero_mean_kl(mismatched: ArrayView1<f64>) -> f64 {
    let counted = mismatched.iter().filter(|&&ratio| ratio != 0.0).count();
    positive_part(mismatched.sum() / counted.max(1) as f64)
}

fn each(
    ratios: ArrayView1<f64>,
    desirable: ArrayView1<bool>,
    loss: impl Fn(f64, bool) -> f64,
) -> Array1<f64> {
    assert_same_len(ratios.len(), desirable.len());
    Zip::from(ratios)
        .and(desirable)
        .map_collect(|&x, &desirable| loss(x, desirable))
}
