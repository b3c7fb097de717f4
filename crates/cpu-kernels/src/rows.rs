//! One row at a time: softmax, dot products, norms and gates.

use crate::exp::exp;
use crate::for_each_width::for_each_width;

/// Independent sums of a reduction, so that it can be vectorised.
const LANES: usize = 16;
/// Values of a weighted sum that are kept in registers.
const PART: usize = 64;

#[inline(always)]
fn sum_by(len: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = len / LANES * LANES;
    let mut base = 0;
    while base < whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(base + lane);
        }
        base += LANES;
    }
    let mut total = lanes.iter().sum::<f32>();
    for index in whole..len {
        total += term(index);
    }
    total
}

/// The largest; NaN is passed over. Minus infinity for an empty row.
#[inline(always)]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    let max = lanes.into_iter().fold(f32::NEG_INFINITY, larger);
    rest.iter().copied().fold(max, larger)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    // exp of a non-positive number cannot overflow.
    let small = exp(-x.abs());
    let inverse = 1.0 / (1.0 + small);
    if x >= 0.0 { inverse } else { small * inverse }
}

for_each_width! {
    /// Softmax in place; returns the log-sum-exp of the scores.
    pub fn softmax(scores: &mut [f32]) -> f32 {
        // Differences to the largest are not above 0, where `exp` cannot overflow.
        let max = maximum(scores);
        for score in scores.iter_mut() {
            *score = exp(*score - max);
        }
        let sum = sum_by(scores.len(), |i| scores[i]);
        let inverse = 1.0 / sum;
        for score in scores.iter_mut() {
            *score *= inverse;
        }
        max + sum.ln()
    }

    /// Softmax weights from scores whose log-sum-exp is known, in place.
    pub fn softmax_known(scores: &mut [f32], log_sum_exp: f32) {
        for score in scores.iter_mut() {
            *score = exp(*score - log_sum_exp);
        }
    }

    /// `weights * (weight_grads - along)`, written over `weight_grads`.
    pub fn softmax_backward(weights: &[f32], weight_grads: &mut [f32], along: f32) {
        for (grad, weight) in weight_grads.iter_mut().zip(weights) {
            *grad = weight * (*grad - along);
        }
    }

    /// Sum of products.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        let len = a.len().min(b.len());
        let (a, b) = (&a[..len], &b[..len]);
        sum_by(len, |i| a[i] * b[i])
    }

    /// `sum += factor * values`
    pub fn add_scaled(sum: &mut [f32], factor: f32, values: &[f32]) {
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += factor * value;
        }
    }

    /// `sum += weights[i] * values[i]` over rows of as many values as the sum has, `stride` apart.
    pub fn add_weighted(sum: &mut [f32], weights: &[f32], values: &[f32], stride: usize) {
        let width = sum.len();
        let mut start = 0;
        while start < width {
            // In registers over all rows; narrower parts are what is left at the end.
            let part = &mut sum[start..width.min(start + PART)];
            let mut sums = [0.0f32; PART];
            sums[..part.len()].copy_from_slice(part);
            for (row, &weight) in weights.iter().enumerate() {
                let values = &values[row * stride + start..][..part.len()];
                if let Some(values) = values.first_chunk::<PART>() {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum += weight * value;
                    }
                } else {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum += weight * value;
                    }
                }
            }
            part.copy_from_slice(&sums[..part.len()]);
            start += PART;
        }
    }

    /// One row of a root-mean-square norm.
    pub fn rms_norm_row(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        let mean_square = sum_by(x.len(), |i| x[i] * x[i]) / x.len() as f32;
        let inverse = 1.0 / (mean_square + epsilon).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * inverse * weight;
        }
    }

    /// Gradients of one row of a root-mean-square norm; the weight's is added up.
    pub fn rms_norm_backward_row(
        x: &[f32],
        weight: &[f32],
        grad: &[f32],
        epsilon: f32,
        x_grad: &mut [f32],
        weight_grad: &mut [f32],
    ) {
        let width = x.len();
        let (weight, grad) = (&weight[..width], &grad[..width]);
        let mean_square = sum_by(width, |i| x[i] * x[i]) / width as f32;
        let inverse = 1.0 / (mean_square + epsilon).sqrt();
        let along = sum_by(width, |i| grad[i] * weight[i] * x[i]) / width as f32 * inverse * inverse;
        for i in 0..width {
            x_grad[i] = (grad[i] * weight[i] - x[i] * along) * inverse;
        }
        for i in 0..width {
            weight_grad[i] += grad[i] * x[i] * inverse;
        }
    }

    /// `silu(gate) * up`.
    pub fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, &gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate * sigmoid(gate) * up;
        }
    }

    /// Gradients of [`swiglu`].
    pub fn swiglu_backward(
        gate: &[f32],
        up: &[f32],
        grad: &[f32],
        gate_grad: &mut [f32],
        up_grad: &mut [f32],
    ) {
        let len = gate.len();
        let (up, grad) = (&up[..len], &grad[..len]);
        let (gate_grad, up_grad) = (&mut gate_grad[..len], &mut up_grad[..len]);
        for i in 0..len {
            let sigmoid = sigmoid(gate[i]);
            let silu = gate[i] * sigmoid;
            gate_grad[i] = grad[i] * up[i] * (sigmoid + silu - sigmoid * silu);
            up_grad[i] = grad[i] * silu;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn softmax_of_large_scores_is_finite_and_sums_to_one() {
        let mut scores: Vec<f32> = (0..37).map(|i| 1e4 + i as f32).collect();
        let log_sum_exp = softmax(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!((log_sum_exp - 10_036.458).abs() < 1e-2);
    }

    #[test]
    fn nan_is_not_lost() {
        let mut scores = [1.0, f32::NAN, 2.0];
        assert!(softmax(&mut scores).is_nan());
        assert!(scores.iter().all(|weight| weight.is_nan()));
        let mut scores = [f32::NAN];
        softmax_known(&mut scores, 0.0);
        assert!(scores[0].is_nan());
        let mut out = [0.0; 2];
        swiglu(&[f32::NAN, 1.0], &[1.0, f32::NAN], &mut out);
        assert!(out.iter().all(|value| value.is_nan()));
        rms_norm_row(&[1.0, f32::NAN], &[1.0, 1.0], 1e-6, &mut out);
        assert!(out.iter().all(|value| value.is_nan()));
        assert!(dot(&[0.0, f32::NAN], &[1.0, 1.0]).is_nan());
    }

    proptest! {
        /// Rows of any length, against sums in double precision.
        #[test]
        fn sums_are_those_of_double_precision(row in prop::collection::vec(-10.0_f32..10.0, 1..100)) {
            let double: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            prop_assert!((f64::from(dot(&row, &row)) - double).abs() <= 1e-5 * double.max(1.0));

            let log_sum_exp = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            let mut weights = row.clone();
            prop_assert!((f64::from(softmax(&mut weights)) - log_sum_exp).abs() <= 1e-5);
            let mut known = row.clone();
            softmax_known(&mut known, log_sum_exp as f32);
            for ((weight, known), &x) in weights.iter().zip(known).zip(&row) {
                let want = (f64::from(x) - log_sum_exp).exp();
                prop_assert!((f64::from(*weight) - want).abs() <= 1e-5 * want);
                prop_assert!((f64::from(known) - want).abs() <= 1e-5 * want);
            }
        }
    }
}
