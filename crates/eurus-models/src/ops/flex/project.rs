//! The linear layer of a decoding step: few rows against a weight that is read once.

use cpu_kernels::row_products::{Rows, row_product};
use rayon::prelude::*;

/// Up to this many rows the weight's traffic decides.
pub const FEW_ROWS: usize = 64;

/// Outputs of one task: fewer in small layers, so that every core has some.
fn outputs_per_task(outputs: usize) -> usize {
    (outputs / 8).clamp(32, 512)
}

/// `x [rows, inputs]` times the transpose of `weight [outputs, inputs]`: `[rows, outputs]`.
///
/// The bits of a row do not depend on the number of rows.
pub fn project(x: &[f32], weight: &[f32], rows: usize, inputs: usize) -> Vec<f32> {
    let outputs = weight.len() / inputs;
    let task = outputs_per_task(outputs);
    let x = Rows::new(x, inputs);
    if rows == 1 {
        let mut result = vec![0.0; outputs];
        result
            .par_chunks_mut(task)
            .zip(weight.par_chunks(task * inputs))
            .for_each(|(part, weight)| {
                row_product(part, part.len(), x, Rows::new(weight, inputs), inputs);
            });
        return result;
    }
    let parts: Vec<Vec<f32>> = weight
        .par_chunks(task * inputs)
        .map(|weight| {
            let weight = Rows::new(weight, inputs);
            let mut part = vec![0.0; weight.count * rows];
            row_product(&mut part, weight.count, x, weight, inputs);
            part
        })
        .collect();
    let mut result = vec![0.0; rows * outputs];
    result
        .par_chunks_mut(outputs)
        .enumerate()
        .for_each(|(row, result)| {
            for (result, part) in result.chunks_mut(task).zip(&parts) {
                result.copy_from_slice(&part[row * result.len()..][..result.len()]);
            }
        });
    result
}
