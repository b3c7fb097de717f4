//! Losses over K responses to each prompt, all `[prompts, responses]`; one loss per prompt.

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};

use super::scalar::{Shifted, log_sum_exp, negative_log_sigmoid};

/// The weight of each response as a target: `softmax(scores / temperature)` over a prompt's
/// responses, with `first_bonus` added to the first score.
pub fn target_weights(scores: ArrayView2<f64>, temperature: f64, first_bonus: f64) -> Array2<f64> {
    let mut weights = scores.to_owned();
    for mut row in weights.rows_mut() {
        if let Some(first) = row.first_mut() {
            *first += first_bonus;
        }
        row /= temperature;
        let shifted = Shifted::of(row.view());
        row.mapv_inplace(|score| shifted.log_softmax(score).exp());
    }
    weights
}

/// NCA over K responses (arXiv 2402.05369, equation 9): `sum_i w_i L(r_i) + mean_i L(-r_i)`, with
/// `r` the implicit rewards `beta * ratio`.
///
/// # Panics
///
/// If the two arrays differ in shape.
pub fn nca_k(ratios: ArrayView2<f64>, weights: ArrayView2<f64>, beta: f64) -> Array1<f64> {
    let responses = ratios.ncols() as f64;
    let terms = Zip::from(ratios).and(weights).map_collect(|ratio, weight| {
        let reward = beta * ratio;
        weight * negative_log_sigmoid(reward) + negative_log_sigmoid(-reward) / responses
    });
    terms.sum_axis(Axis(1))
}

/// InfoNCA (arXiv 2402.05369, equation 6): `-sum_i w_i log softmax(r)_i`.
///
/// # Panics
///
/// If the two arrays differ in shape.
pub fn info_nca_k(ratios: ArrayView2<f64>, weights: ArrayView2<f64>, beta: f64) -> Array1<f64> {
    let mut terms = &ratios * beta;
    for mut row in terms.rows_mut() {
        let shifted = Shifted::of(row.view());
        row.mapv_inplace(|reward| shifted.log_softmax(reward));
    }
    Zip::from(&mut terms)
        .and(weights)
        .for_each(|log_softmax, weight| *log_softmax *= -weight);
    terms.sum_axis(Axis(1))
}

/// Plackett-Luce (Plackett 1975; arXiv 2305.18290, Appendix A.3): the negative log-likelihood of
/// the order in which the responses are given, best first,
/// `-sum_k (r_k - log sum_{j >= k} exp(r_j))`. With two responses it is Bradley-Terry.
pub fn plackett_luce(rewards: ArrayView2<f64>) -> Array1<f64> {
    rewards
        .rows()
        .into_iter()
        .map(|row| {
            (0..row.len())
                .map(|k| log_sum_exp(row.slice(s![k..]).mapv(|r| r - row[k]).view()))
                .sum()
        })
        .collect()
}
