//! The linear layer of a decoding step: few rows against a weight that is read once.

use cpu_kernels::products::{Destination, Matrix, product};
use rayon::prelude::*;

/// Up to this many rows the weight's traffic decides, and it must not be copied into another layout first.
pub const FEW_ROWS: usize = 64;

/// Outputs of one task: fewer in small layers, so that every core has some.
fn outputs_per_task(outputs: usize) -> usize {
    (outputs / 8).clamp(32, 512)
}

/// `x [rows, inputs]` times the transpose of `weight [outputs, inputs]`: `[rows, outputs]`.
///
/// The product is made transposed, `[outputs, rows]`: its fast axis is then that of the rows, and the weight is read in its
/// own order, an entry at a time. The other way round, half of the time goes into rearranging the weight.
pub fn project(x: &[f32], weight: &[f32], rows: usize, inputs: usize) -> Vec<f32> {
    let outputs = weight.len() / inputs;
    let task = outputs_per_task(outputs);
    let x = Matrix::rows(x, rows, inputs, inputs).transposed();
    let parts: Vec<Vec<f32>> = weight
        .par_chunks(task * inputs)
        .map(|weight| {
            let count = weight.len() / inputs;
            let mut part = vec![0.0; count * rows];
            let weight = Matrix::rows(weight, count, inputs, inputs);
            product(&mut part, rows, Destination::Overwrite, 1.0, weight, x);
            part
        })
        .collect();
    let mut result = vec![0.0; rows * outputs];
    result
        .par_chunks_mut(outputs)
        .enumerate()
        .for_each(|(row, result)| {
            for (result, part) in result.chunks_mut(task).zip(&parts) {
                for (value, of_output) in result.iter_mut().zip(part.chunks(rows)) {
                    *value = of_output[row];
                }
            }
        });
    result
}
