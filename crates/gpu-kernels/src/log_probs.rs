//! Log-probs from logits, and the gradient of logits.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{
    buffer, cubes_for, dims, element, empty, max_over_units, row_of, row_of_units, sum_over_units,
    waiting_units,
};

/// What there is to know of rows of logits, each `[rows]` in float32.
#[derive(Debug, Clone)]
pub struct RowStatistics {
    /// The log-prob of the row's target.
    pub log_probs: CubeTensor,
    /// The largest logit.
    pub row_max: CubeTensor,
    /// `log sum exp(logit - row_max)`.
    pub log_sum: CubeTensor,
    /// `log sum p^2`.
    pub log_sum_squares: CubeTensor,
}

/// A cube has one row.
#[cube(launch_unchecked)]
fn statistics<I: Int>(
    logits: &[f32],
    targets: &[I],
    log_probs: &mut [f32],
    row_max: &mut [f32],
    log_sum: &mut [f32],
    log_sum_squares: &mut [f32],
    vocab: usize,
    #[comptime] units: usize,
    #[define(I)] _index: ElemType,
) {
    let row = CUBE_POS;
    let first = row * vocab;
    let unit = UNIT_POS as usize;
    let mut parts = Shared::<[f32]>::new_slice(units);
    let mut max = f32::new(f32::MIN);
    let mut column = unit;
    while column < vocab {
        max = f32::max(max, logits[first + column]);
        column += units;
    }
    let max = max_over_units(max, &mut parts, units);
    let mut sum = f32::new(0.0f32);
    let mut squares = f32::new(0.0f32);
    let mut column = unit;
    while column < vocab {
        let exp = (logits[first + column] - max).exp();
        sum += exp;
        squares += exp * exp;
        column += units;
    }
    let sum = sum_over_units(sum, &mut parts, units);
    let squares = sum_over_units(squares, &mut parts, units);
    if unit == 0 {
        let log = sum.ln();
        let target = usize::cast_from(targets[row]);
        log_probs[row] = logits[first + target] - max - log;
        row_max[row] = max;
        log_sum[row] = log;
        log_sum_squares[row] = squares.ln() - 2.0f32 * log;
    }
}

/// A unit has one logit.
#[cube(launch_unchecked)]
fn gradient<F: Float, I: Int>(
    logits: &[f32],
    targets: &[I],
    row_max: &[f32],
    log_sum: &[f32],
    grad: &[f32],
    out: &mut [F],
    columns: usize,
    start: usize,
    #[define(F)] _element: ElemType,
    #[define(I)] _index: ElemType,
) {
    let i = ABSOLUTE_POS;
    if i < out.len() {
        let row = i / columns;
        let token = start + i % columns;
        let mut slope = -(logits[i] - row_max[row] - log_sum[row]).exp();
        if usize::cast_from(targets[row]) == token {
            slope += 1.0f32;
        }
        out[i] = F::cast_from(slope * grad[row]);
    }
}

/// Statistics of `logits [rows, vocab]` in float32, with `targets [rows]`.
pub fn row_statistics(logits: CubeTensor, targets: CubeTensor) -> RowStatistics {
    let [rows, vocab] = dims(&logits);
    let column = || empty(&logits, [rows], DType::F32);
    let result = RowStatistics {
        log_probs: column(),
        row_max: column(),
        log_sum: column(),
        log_sum_squares: column(),
    };
    if rows * vocab == 0 {
        return result;
    }
    let (client, index) = (logits.client.clone(), element(&targets));
    let units = waiting_units(&client);
    // SAFETY: there are as many cubes as rows, which stay in their row; targets are below `vocab`.
    unsafe {
        statistics::launch_unchecked(
            &client,
            CubeCount::Static(rows as u32, 1, 1),
            row_of(units),
            buffer(logits),
            buffer(targets),
            result.log_probs.clone().into_buffer_arg(),
            result.row_max.clone().into_buffer_arg(),
            result.log_sum.clone().into_buffer_arg(),
            result.log_sum_squares.clone().into_buffer_arg(),
            vocab,
            units,
            index,
        );
    }
    result
}

/// The gradient of a block of logits `[rows, columns]`, which begins at token `start`: `grad * (onehot(target) - softmax)`, with
/// the statistics of whole rows and `grad [rows]` in float32. The result is of type `out`.
pub fn logit_gradient(
    logits: CubeTensor,
    targets: CubeTensor,
    row_max: CubeTensor,
    log_sum: CubeTensor,
    grad: CubeTensor,
    start: usize,
    out: DType,
) -> CubeTensor {
    let [rows, columns] = dims(&logits);
    let gradient_of_logits = empty(&logits, [rows, columns], out);
    if rows * columns == 0 {
        return gradient_of_logits;
    }
    let (client, index) = (logits.client.clone(), element(&targets));
    let kind = element(&gradient_of_logits);
    // SAFETY: all indices come from one in the output.
    unsafe {
        gradient::launch_unchecked(
            &client,
            cubes_for(&client, rows * columns),
            row_of_units(),
            buffer(logits),
            buffer(targets),
            buffer(row_max),
            buffer(log_sum),
            buffer(grad),
            gradient_of_logits.clone().into_buffer_arg(),
            columns,
            start,
            kind,
            index,
        );
    }
    gradient_of_logits
}
