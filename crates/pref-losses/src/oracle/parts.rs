//! Responses in parts: what is made of tokens or turns before or after a loss of pairs.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis, Zip};

use super::ratios::assert_same_len;

/// How often the mask is true in each row.
///
/// With it the two responses of a pair are told how many parts they share.
pub fn part_counts(mask: ArrayView2<bool>) -> Array1<usize> {
    mask.map_axis(Axis(1), |row| row.iter().filter(|&&counts| counts).count())
}

/// Length-desensitised log-probs (LD-DPO, arXiv 2409.06411), `[responses]`: the sum of the first
/// `shared` counted tokens plus `alpha` times that of the others. `shared` is the smaller number of
/// tokens of the pair that the response belongs to.
///
/// # Panics
///
/// If the shapes disagree.
pub fn length_desensitized(
    log_probs: ArrayView2<f64>,
    mask: ArrayView2<bool>,
    shared: ArrayView1<usize>,
    alpha: f64,
) -> Array1<f64> {
    assert_same_len(shared.len(), mask.nrows());
    weighted_sums(log_probs, mask, |row, index, _| {
        if index < shared[row] { 1.0 } else { alpha }
    })
}

/// Discounted log-probs of trajectories (DMPO, arXiv 2406.14868), `[trajectories]`: the sum over turns
/// `t = 0, .., T - 1` of `gamma^t (1 - gamma^(T - t)) / (1 - gamma^T)` times the turn's log-prob, and of
/// `(T - t)/T` times it for `gamma = 1`.
///
/// # Panics
///
/// If the shapes disagree.
pub fn discounted_turns(
    log_probs: ArrayView2<f64>,
    mask: ArrayView2<bool>,
    gamma: f64,
) -> Array1<f64> {
    // The geometric sums themselves: what is left of the discounts of turns from t on.
    let geometric = |turns: usize| (0..turns).map(|t| gamma.powi(t as i32)).sum::<f64>();
    weighted_sums(log_probs, mask, |_, turn, turns| {
        gamma.powi(turn as i32) * geometric(turns - turn) / geometric(turns)
    })
}

/// The weight of a response in WPO (arXiv 2406.11827, equation 2), `[responses]`:
/// `exp(mean_t (log p_t - log sum_v p(v)^2))`; 1 for a response without tokens.
///
/// # Panics
///
/// If the shapes disagree.
pub fn wpo_weights(
    log_probs: ArrayView2<f64>,
    log_sum_squares: ArrayView2<f64>,
    mask: ArrayView2<bool>,
) -> Array1<f64> {
    let counts = part_counts(mask).mapv(|count| count.max(1) as f64);
    let excess = &log_probs - &log_sum_squares;
    (weighted_sums(excess.view(), mask, |_, _, _| 1.0) / counts).mapv(f64::exp)
}

/// `sum weight(row, index, count) value` over the values that the mask counts; `index` is their number
/// among those of the row, `count` how many there are.
fn weighted_sums(
    values: ArrayView2<f64>,
    mask: ArrayView2<bool>,
    weight: impl Fn(usize, usize, usize) -> f64,
) -> Array1<f64> {
    assert_eq!(values.dim(), mask.dim(), "one mask entry per value");
    let counts = part_counts(mask);
    let mut row = 0;
    Zip::from(values.rows())
        .and(mask.rows())
        .map_collect(|values, mask| {
            let counted = values.iter().zip(mask).filter(|(_, counts)| **counts);
            let terms = counted
                .enumerate()
                .map(|(index, (value, _))| weight(row, index, counts[row]) * value);
            let sum = terms.sum();
            row += 1;
            sum
        })
}
