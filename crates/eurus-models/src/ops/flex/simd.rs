//! Row kernels that the compiler vectorises for the processor found at run time.

use multiversion::multiversion;

/// Independent sums of a reduction, so that it can be vectorised.
const LANES: usize = 16;

/// `e^x` for `x <= 88`, relative error below 2e-7; zero far below.
///
/// Range reduction by multiples of ln 2 and a degree-6 polynomial, without branches.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer in the low bits
    let x = x.max(-87.3);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    p * power
}

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

#[inline(always)]
fn maximum(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let start = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    rest.iter().copied().fold(start, f32::max)
}

/// Softmax in place; returns the log-sum-exp of the scores.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn softmax(scores: &mut [f32]) -> f32 {
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
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn softmax_known(scores: &mut [f32], log_sum_exp: f32) {
    for score in scores.iter_mut() {
        *score = exp(*score - log_sum_exp);
    }
}

/// `weights * (weight_grads - along)`, written over `weight_grads`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn softmax_backward(weights: &[f32], weight_grads: &mut [f32], along: f32) {
    for (grad, weight) in weight_grads.iter_mut().zip(weights) {
        *grad = weight * (*grad - along);
    }
}

/// Sum of products.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    sum_by(len, |i| a[i] * b[i])
}

/// `sum += factor * values`
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn add_scaled(sum: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// One row of a root-mean-square norm.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn rms_norm_row(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let mean_square = sum_by(x.len(), |i| x[i] * x[i]) / x.len() as f32;
    let inverse = 1.0 / (mean_square + epsilon).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * inverse * weight;
    }
}

/// Gradients of one row of a root-mean-square norm; the weight's is added up.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
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
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, &gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate * sigmoid(gate) * up;
    }
}

/// Gradients of [`swiglu`].
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
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

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    // exp of a non-positive number cannot overflow.
    let small = exp(-x.abs());
    let inverse = 1.0 / (1.0 + small);
    if x >= 0.0 { inverse } else { small * inverse }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_in_ten_million_of_the_library() {
        let mut x = -80.0f32;
        while x < 80.0 {
            let want = f64::from(x).exp();
            let got = f64::from(exp(x));
            assert!(
                ((got - want) / want).abs() < 2e-7,
                "exp({x}): {got} against {want}"
            );
            x += 0.013;
        }
        assert!(exp(-1e30) < 1e-37);
    }

    #[test]
    fn softmax_of_large_scores_is_finite_and_sums_to_one() {
        let mut scores: Vec<f32> = (0..37).map(|i| 1e4 + i as f32).collect();
        let log_sum_exp = softmax(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!((log_sum_exp - 10_036.458).abs() < 1e-2);
    }
}
