//! Log-sum-exp and softmax of rows as long as a vocabulary, which may come in several parts.

use crate::exp::exp;
use crate::for_each_width::for_each_width;
use crate::rows::maximum;

/// Lanes of independent partial results. Wide enough for two 512-bit registers.
const LANES: usize = 32;
/// Elements that are summed in f32 before the sum goes into f64.
const BLOCK: usize = 16 * LANES;

for_each_width! {
    /// The largest element; NaN is passed over (it shows up in the sum instead). Minus infinity for an empty row.
    pub fn max_of(row: &[f32]) -> f32 {
        maximum(row)
    }

    /// `sum(exp(x - max))` for a `max` that no element exceeds.
    pub fn sum_of_exp(row: &[f32], max: f32) -> f64 {
        let mut total = 0.0;
        for block in row.chunks(BLOCK) {
            let mut lanes = [0.0f32; LANES];
            let chunks = block.chunks_exact(LANES);
            let rest = chunks.remainder();
            for chunk in chunks {
                for (lane, &x) in lanes.iter_mut().zip(chunk) {
                    *lane += exp(x - max);
                }
            }
            for (lane, &x) in lanes.iter_mut().zip(rest) {
                *lane += exp(x - max);
            }
            total += lanes.into_iter().map(f64::from).sum::<f64>();
        }
        total
    }

    /// Replaces each logit by `factor * softmax`, with `softmax = exp((x - max) - log_sum)`.
    pub fn scaled_softmax(row: &mut [f32], max: f32, log_sum: f32, factor: f32) {
        for x in row {
            *x = factor * exp((*x - max) - log_sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_not_lost() {
        assert!(sum_of_exp(&[-1.0, f32::NAN], 0.0).is_nan());
        let mut row = [f32::NAN];
        scaled_softmax(&mut row, 0.0, 0.0, 1.0);
        assert!(row[0].is_nan());
    }

    #[test]
    fn rows_of_any_length_are_summed_whole() {
        for len in [0, 1, 31, 32, 33, 511, 512, 513, 2000] {
            let row: Vec<f32> = (0..len).map(|i| -((i * 37 % 101) as f32) * 0.1).collect();
            let want: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            let got = sum_of_exp(&row, 0.0);
            assert!(
                (got - want).abs() <= 1e-6 * want.max(1.0),
                "{len}: {got} {want}"
            );
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max_of(&row), max);
        }
    }
}
