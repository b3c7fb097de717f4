//! One update of Adafactor (arXiv 1804.04235): a matrix's second moment is kept as its means over rows and columns.
//!
//! With gradient `g [r, c]` and step `t`: `s = g^2 + 1e-30`, `b2 = 1 - t^-0.8`, `rows = b2 rows + (1 - b2) mean_c(s)`,
//! `columns = b2 columns + (1 - b2) mean_r(s)`, `u = g / sqrt(rows columns / mean(rows))`, `u = u / max(1, rms(u))`,
//! `p = (1 - lr * decay) p - lr * u`. That is algorithm 4 with a learning rate from outside in place of a relative one, without
//! a first moment. A vector is a matrix of one row, whose columns are the whole second moment.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Scalar, Shape};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::ops::{CHUNK, contiguous, scale};

/// Numbers of one update.
#[derive(Debug, Clone, Copy)]
pub struct AdafactorStep {
    /// Matrices that lie one after another, rows of each and columns: `[b, r, c]`.
    pub shape: [usize; 3],
    /// Multiplies the gradient first: the clipping to a global norm.
    pub gradient_factor: f32,
    /// Decay of the means of squares.
    pub beta_2: f32,
    /// `1 - lr * weight decay`.
    pub decay: f32,
    pub learning_rate: f32,
}

/// Added to squares, so that no mean of them is zero (the paper's epsilon 1).
const EPSILON: f32 = 1e-30;

/// The decay of the means of squares at a parameter's step `t`, from 1 (the paper's `1 - t^-0.8`).
pub fn decay_of_squares(t: u32) -> f64 {
    1.0 - f64::from(t).powf(-0.8)
}

/// The shape of a parameter as matrices: those that lie one after another, their rows and columns.
pub fn matrices(shape: &[usize]) -> [usize; 3] {
    match shape {
        [] => [1, 1, 1],
        [columns] => [1, 1, *columns],
        [before @ .., rows, columns] => [before.iter().product(), *rows, *columns],
    }
}

/// A parameter after its update, with its means over columns `[b * r]` and over rows `[b * c]`.
pub type Updated<T> = (T, T, T);

/// The update of stock operations: `parameter` and `gradient [b * r * c]`, `rows [b * r]`, `columns [b * c]`.
pub fn stock<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    rows: FloatTensor<B>,
    columns: FloatTensor<B>,
    step: AdafactorStep,
) -> Updated<FloatTensor<B>> {
    let [b, r, c] = step.shape;
    let shaped = |tensor, shape: [usize; 3]| B::float_reshape(tensor, Shape::from(shape));
    let flat = |tensor, elements: usize| B::float_reshape(tensor, Shape::from([elements]));
    let gradient = scale::<B>(shaped(gradient, step.shape), step.gradient_factor);
    let squares = B::float_mul(gradient.clone(), gradient.clone());
    let squares = B::float_add_scalar(squares, Scalar::from(EPSILON));
    let mixed = |before, now| {
        B::float_add(
            scale::<B>(before, step.beta_2),
            scale::<B>(now, 1.0 - step.beta_2),
        )
    };
    let rows = mixed(
        shaped(rows, [b, r, 1]),
        B::float_mean_dim(squares.clone(), 2),
    );
    let columns = mixed(shaped(columns, [b, 1, c]), B::float_mean_dim(squares, 1));
    let relative = B::float_div(rows.clone(), B::float_mean_dim(rows.clone(), 1));
    let update = B::float_div(gradient, B::float_sqrt(relative));
    let update = B::float_div(update, B::float_sqrt(columns.clone()));
    let square = B::float_mean(B::float_mul(update.clone(), update.clone()));
    let root = B::float_clamp_min(B::float_sqrt(square), Scalar::from(1.0_f32));
    let update = B::float_div(update, shaped(root, [1, 1, 1]));
    let parameter = scale::<B>(shaped(parameter, step.shape), step.decay);
    let parameter = B::float_sub(parameter, scale::<B>(update, step.learning_rate));
    (
        flat(parameter, b * r * c),
        flat(rows, b * r),
        flat(columns, b * c),
    )
}

/// The update of a CPU, where the parameter lies: nothing of its size is made besides.
pub fn flex(
    parameter: FlexTensor,
    gradient: FlexTensor,
    rows: FlexTensor,
    columns: FlexTensor,
    step: AdafactorStep,
) -> Updated<FlexTensor> {
    let [mut parameter, gradient, mut rows, mut columns] =
        [parameter, gradient, rows, columns].map(contiguous);
    let [b, r, c] = step.shape;
    let gradients: &[f32] = gradient.as_slice().unwrap_or_default();
    let gradients = &gradients[..b * r * c];
    let row_means = &mut rows.storage_mut::<f32>()[..b * r];
    let column_means = &mut columns.storage_mut::<f32>()[..b * c];
    // Per matrix: the means, and what the gradient is multiplied with.
    let mut row_factors = vec![0.0; b * r];
    let mut column_factors = vec![0.0; b * c];
    for matrix in 0..b {
        let of_rows = matrix * r..(matrix + 1) * r;
        let of_columns = matrix * c..(matrix + 1) * c;
        let gradients = &gradients[matrix * r * c..][..r * c];
        let [now_rows, now_columns] = means_of_squares(gradients, c, step.gradient_factor);
        mix(&mut row_means[of_rows.clone()], &now_rows, step.beta_2);
        mix(
            &mut column_means[of_columns.clone()],
            &now_columns,
            step.beta_2,
        );
        let row_means = &row_means[of_rows.clone()];
        let total: f64 = row_means.iter().map(|&mean| f64::from(mean)).sum();
        let mean = (total / r as f64) as f32;
        for (factor, row) in row_factors[of_rows].iter_mut().zip(row_means) {
            *factor = (row / mean).sqrt().recip();
        }
        let columns = &column_means[of_columns.clone()];
        for (factor, column) in column_factors[of_columns].iter_mut().zip(columns) {
            *factor = column.sqrt().recip();
        }
    }

    let chunk = rows_of_chunk(c);
    let column_factors_of = |row: usize| &column_factors[row / r * c..][..c];
    let update = |row: usize, gradients: &[f32]| {
        let factor = row_factors[row] * step.gradient_factor;
        let factors = column_factors_of(row).iter();
        gradients
            .iter()
            .zip(factors)
            .map(move |(gradient, column)| gradient * factor * column)
            .collect::<Vec<f32>>()
    };
    let squares: Vec<f64> = gradients
        .par_chunks(chunk * c)
        .enumerate()
        .map(|(index, gradients)| {
            let of_rows = gradients.chunks(c).enumerate();
            let of_row = |(row, gradients): (usize, &[f32])| -> f64 {
                let update = update(index * chunk + row, gradients);
                update.iter().map(|&it| f64::from(it) * f64::from(it)).sum()
            };
            of_rows.map(of_row).sum()
        })
        .collect();
    let square = squares.into_iter().sum::<f64>() / (b * r * c) as f64;
    // A maximum would lose a NaN.
    let root = if square <= 1.0 { 1.0 } else { square.sqrt() };
    let rate = (f64::from(step.learning_rate) / root) as f32;
    parameter.storage_mut::<f32>()[..b * r * c]
        .par_chunks_mut(chunk * c)
        .zip(gradients.par_chunks(chunk * c))
        .enumerate()
        .for_each(|(index, (parameters, gradients))| {
            let of_rows = parameters.chunks_mut(c).zip(gradients.chunks(c));
            for (row, (parameters, gradients)) in of_rows.enumerate() {
                let update = update(index * chunk + row, gradients);
                for (parameter, update) in parameters.iter_mut().zip(update) {
                    *parameter = step.decay * *parameter - rate * update;
                }
            }
        });
    (parameter, rows, columns)
}

fn rows_of_chunk(columns: usize) -> usize {
    CHUNK.div_ceil(columns.max(1))
}

/// The means over the columns of each row and over the rows of each column of `(factor * gradient)^2`.
fn means_of_squares(gradients: &[f32], columns: usize, factor: f32) -> [Vec<f32>; 2] {
    let rows = gradients.len() / columns.max(1);
    let parts: Vec<(Vec<f32>, Vec<f64>)> = gradients
        .par_chunks(rows_of_chunk(columns) * columns)
        .map(|chunk| {
            let mut of_columns = vec![0.0_f64; columns];
            let of_row = |row: &[f32]| {
                let mut sum = 0.0_f64;
                for (column, gradient) in of_columns.iter_mut().zip(row) {
                    let gradient = gradient * factor;
                    let square = f64::from(gradient * gradient + EPSILON);
                    *column += square;
                    sum += square;
                }
                (sum / columns as f64) as f32
            };
            let of_rows = chunk.chunks(columns).map(of_row).collect();
            (of_rows, of_columns)
        })
        .collect();
    let mut sums = vec![0.0_f64; columns];
    let mut of_rows = Vec::with_capacity(rows);
    // In order, so that the sums do not depend on which thread was faster.
    for (rows, columns) in parts {
        of_rows.extend(rows);
        for (sum, column) in sums.iter_mut().zip(columns) {
            *sum += column;
        }
    }
    let of_columns = sums.iter().map(|sum| (sum / rows as f64) as f32).collect();
    [of_rows, of_columns]
}

fn mix(before: &mut [f32], now: &[f32], beta_2: f32) {
    for (before, now) in before.iter_mut().zip(now) {
        *before = beta_2 * *before + (1.0 - beta_2) * now;
    }
}
