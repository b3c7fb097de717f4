//! Norms, gates and rotations, parallel over rows.

use cpu_kernels::rows;
use rayon::prelude::*;

use super::ELEMENTS_PER_TASK;

/// Rows whose partial sums of weight gradients are added together first. Fixed, so that the sum does not depend on the
/// number of threads.
const ROWS_PER_PARTIAL_SUM: usize = 64;

fn rows_per_task(width: usize) -> usize {
    ELEMENTS_PER_TASK.div_ceil(width.max(1))
}

/// Adds the rows of `grad` to those of `out` that their tokens name.
pub fn add_rows(out: &mut [f32], width: usize, tokens: &[i64], grad: &[f32]) {
    // On one thread: a token can occur many times, and two threads could add to its row at once.
    for (&token, grad) in tokens.iter().zip(grad.chunks(width.max(1))) {
        let row = &mut out[token as usize * width..][..width];
        for (sum, value) in row.iter_mut().zip(grad) {
            *sum += value;
        }
    }
}

pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    rms_norm_to(&mut out, x, weight, epsilon);
    out
}

pub fn rms_norm_to(out: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
    let width = weight.len();
    let chunk = rows_per_task(width) * width;
    out.par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .for_each(|(out, x)| {
            for (out, x) in out.chunks_mut(width).zip(x.chunks(width)) {
                rows::rms_norm_row(x, weight, epsilon, out);
            }
        });
}

pub fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    epsilon: f32,
) -> (Vec<f32>, Vec<f32>) {
    let width = weight.len();
    let mut x_grad = vec![0.0; x.len()];
    let chunk = ROWS_PER_PARTIAL_SUM * width;
    let partial_sums: Vec<Vec<f32>> = x_grad
        .par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .zip(grad.par_chunks(chunk))
        .map(|((x_grad, x), grad)| {
            let mut weight_grad = vec![0.0; width];
            for ((x_grad, x), grad) in x_grad
                .chunks_mut(width)
                .zip(x.chunks(width))
                .zip(grad.chunks(width))
            {
                rows::rms_norm_backward_row(x, weight, grad, epsilon, x_grad, &mut weight_grad);
            }
            weight_grad
        })
        .collect();
    let mut weight_grad = vec![0.0; width];
    for partial in partial_sums {
        for (sum, value) in weight_grad.iter_mut().zip(partial) {
            *sum += value;
        }
    }
    (x_grad, weight_grad)
}

pub fn swiglu(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; gate.len()];
    swiglu_to(&mut out, gate, up);
    out
}

pub fn swiglu_to(out: &mut [f32], gate: &[f32], up: &[f32]) {
    out.par_chunks_mut(ELEMENTS_PER_TASK)
        .zip(gate.par_chunks(ELEMENTS_PER_TASK))
        .zip(up.par_chunks(ELEMENTS_PER_TASK))
        .for_each(|((out, gate), up)| rows::swiglu(gate, up, out));
}

pub fn swiglu_backward(gate: &[f32], up: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut gate_grad = vec![0.0; gate.len()];
    let mut up_grad = vec![0.0; gate.len()];
    gate_grad
        .par_chunks_mut(ELEMENTS_PER_TASK)
        .zip(up_grad.par_chunks_mut(ELEMENTS_PER_TASK))
        .zip(gate.par_chunks(ELEMENTS_PER_TASK))
        .zip(up.par_chunks(ELEMENTS_PER_TASK))
        .zip(grad.par_chunks(ELEMENTS_PER_TASK))
        .for_each(|((((gate_grad, up_grad), gate), up), grad)| {
            rows::swiglu_backward(gate, up, grad, gate_grad, up_grad);
        });
    (gate_grad, up_grad)
}

pub fn rotate(x: &[f32], cos: &[f32], sin: &[f32], width: usize, half: usize) -> Vec<f32> {
    let mut out = x.to_vec();
    rotate_in_place(&mut out, cos, sin, width, half);
    out
}

/// `cos` and `sin` have `half` values for each row of `x`, which is as long as `width`.
pub fn rotate_in_place(x: &mut [f32], cos: &[f32], sin: &[f32], width: usize, half: usize) {
    let rows = rows_per_task(width);
    x.par_chunks_mut(rows * width)
        .zip(cos.par_chunks(rows * half))
        .zip(sin.par_chunks(rows * half))
        .for_each(|((x, cos), sin)| {
            for ((x, cos), sin) in x
                .chunks_mut(width)
                .zip(cos.chunks(half))
                .zip(sin.chunks(half))
            {
                for x in x.chunks_mut(2 * half) {
                    let (first, second) = x.split_at_mut(half);
                    for i in 0..half {
                        let (a, b) = (first[i], second[i]);
                        first[i] = a * cos[i] - b * sin[i];
                        second[i] = b * cos[i] + a * sin[i];
                    }
                }
            }
        });
}
