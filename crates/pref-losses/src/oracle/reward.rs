//! Losses of reward models, from rewards `[pairs]`; one loss per pair.

use ndarray::{Array1, ArrayView1};

use super::ratios::{assert_same_len, difference};
use super::scalar::negative_log_sigmoid;

/// Bradley-Terry (arXiv 2203.02155, equation 1): `L(r_c - r_r - margin)`, the margin being that of
/// arXiv 2307.09288, equation 2.
///
/// # Panics
///
/// If the arrays differ in length.
pub fn bradley_terry(
    chosen: ArrayView1<f64>,
    rejected: ArrayView1<f64>,
    margin: Option<ArrayView1<f64>>,
) -> Array1<f64> {
    let lead = difference(chosen, rejected);
    let lead = match margin {
        Some(margin) => difference(lead.view(), margin),
        None => lead,
    };
    lead.mapv(negative_log_sigmoid)
}

/// Direct rewards, LDR (arXiv 2404.02078, Section 3): `L(r_c) + L(-r_r)`.
///
/// # Panics
///
/// If the arrays differ in length.
pub fn direct_reward(chosen: ArrayView1<f64>, rejected: ArrayView1<f64>) -> Array1<f64> {
    let below = rejected.mapv(|reward| -negative_log_sigmoid(-reward));
    difference(chosen.mapv(negative_log_sigmoid).view(), below.view())
}

/// L_UltraInteract (arXiv 2404.02078, Section 3): [`bradley_terry`] on every row, plus `weight`
/// times LDR where `direct` is true (everywhere when it is `None`).
///
/// # Panics
///
/// If the arrays differ in length.
pub fn ultra_interact(
    chosen: ArrayView1<f64>,
    rejected: ArrayView1<f64>,
    margin: Option<ArrayView1<f64>>,
    direct: Option<ArrayView1<bool>>,
    weight: f64,
) -> Array1<f64> {
    let ranked = bradley_terry(chosen, rejected, margin);
    let mut terms = direct_reward(chosen, rejected) * weight;
    if let Some(direct) = direct {
        assert_same_len(direct.len(), terms.len());
        terms.zip_mut_with(&direct, |term, &counts| {
            if !counts {
                *term = 0.0;
            }
        });
    }
    ranked + terms
}

/// The penalty that centres rewards (arXiv 2312.09244): `coefficient (r_c + r_r)^2`.
///
/// # Panics
///
/// If the arrays differ in length.
pub fn centering(
    chosen: ArrayView1<f64>,
    rejected: ArrayView1<f64>,
    coefficient: f64,
) -> Array1<f64> {
    assert_same_len(chosen.len(), rejected.len());
    (&chosen + &rejected).mapv(|total| coefficient * total * total)
}

/// NormBT (arXiv 2512.06343): [`bradley_terry`] times `mean / (distance + epsilon)`, with `distance`
/// that of the representations of the pair's responses and `mean` a running mean of it.
///
/// # Panics
///
/// If the arrays differ in length.
pub fn norm_bt(
    chosen: ArrayView1<f64>,
    rejected: ArrayView1<f64>,
    distances: ArrayView1<f64>,
    mean: f64,
    epsilon: f64,
) -> Array1<f64> {
    assert_same_len(distances.len(), chosen.len());
    let weights = distances.mapv(|distance| mean / (distance + epsilon));
    bradley_terry(chosen, rejected, None) * weights
}
