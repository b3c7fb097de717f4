//! Losses over K responses to each prompt, all `[prompts, responses]`; one loss per prompt.

use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, Zip, s};

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

/// Plackett-Luce of policies (arXiv 2305.18290, Appendix A.3) in the order of the scores, with ties:
/// `-sum_i (r_i - log(exp(r_i) + sum over v_j < v_i of exp(r_j)))`, `r` being `beta * ratio`. Responses
/// of equal score are not compared.
///
/// # Panics
///
/// If the two arrays differ in shape.
pub fn score_order(ratios: ArrayView2<f64>, scores: ArrayView2<f64>, beta: f64) -> Array1<f64> {
    Zip::from(ratios.rows())
        .and(scores.rows())
        .map_collect(|ratios, scores| {
            let terms = (0..ratios.len()).map(|i| {
                let beaten = (0..ratios.len()).filter(|&j| j == i || scores[j] < scores[i]);
                let leads: Array1<f64> = beaten.map(|j| beta * (ratios[j] - ratios[i])).collect();
                log_sum_exp(leads.view())
            });
            terms.sum()
        })
}

/// The weights of the pairs `(i, j)` of each prompt by what swapping the two would change,
/// `[prompts, responses, responses]`: in proportion to `(v_i - v_j) |1/log2(1 + k_i) - 1/log2(1 + k_j)|`
/// where `v_i > v_j`, else 0; summing to 1, or to 0 where all scores are equal.
///
/// `k` are the ranks by log-ratio, 1 for the highest. Of equal log-ratios the one with the lower score
/// is ranked first; equal in both, they share the mean of their ranks.
///
/// # Panics
///
/// If the two arrays differ in shape.
pub fn lambda_rank_weights(ratios: ArrayView2<f64>, scores: ArrayView2<f64>) -> Array3<f64> {
    let (prompts, responses) = ratios.dim();
    assert_eq!(scores.dim(), ratios.dim(), "one score per response");
    let mut weights = Array3::zeros((prompts, responses, responses));
    for ((mut weights, ratios), scores) in weights
        .outer_iter_mut()
        .zip(ratios.rows())
        .zip(scores.rows())
    {
        let discounts: Vec<f64> = (0..responses)
            .map(|i| 1.0 / (1.0 + rank(i, ratios, scores)).log2())
            .collect();
        for i in 0..responses {
            for j in 0..responses {
                let gain = (scores[i] - scores[j]).max(0.0);
                weights[[i, j]] = gain * (discounts[i] - discounts[j]).abs();
            }
        }
        let total = weights.sum();
        if total > 0.0 {
            weights /= total;
        }
    }
    weights
}

/// The rank of response `i` from 1, by log-ratio, then by score from below.
fn rank(i: usize, ratios: ArrayView1<f64>, scores: ArrayView1<f64>) -> f64 {
    let mut rank = 1.0;
    for j in (0..ratios.len()).filter(|&j| j != i) {
        let is_tied = ratios[j] == ratios[i];
        if ratios[j] > ratios[i] || (is_tied && scores[j] < scores[i]) {
            rank += 1.0;
        } else if is_tied && scores[j] == scores[i] {
            rank += 0.5;
        }
    }
    rank
}

/// All pairs of each prompt's responses: `sum_ij w_ij L(beta (ratio_i - ratio_j))`, with weights
/// `[prompts, responses, responses]` such as [`lambda_rank_weights`] gives, which are constants.
///
/// # Panics
///
/// If the shapes disagree.
pub fn lambda_rank(ratios: ArrayView2<f64>, weights: &Array3<f64>, beta: f64) -> Array1<f64> {
    let prompts = ratios.rows().into_iter().zip(weights.outer_iter());
    prompts
        .map(|(ratios, weights)| {
            weights
                .indexed_iter()
                .filter(|(_, weight)| **weight > 0.0)
                .map(|((i, j), weight)| {
                    weight * negative_log_sigmoid(beta * (ratios[i] - ratios[j]))
                })
                .sum()
        })
        .collect()
}
