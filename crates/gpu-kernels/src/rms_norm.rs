//! Root-mean-square norm.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{
    UNITS, buffer, dims, element, empty, owned, row_of, row_of_units, sum_over_units, waiting_units,
};
use crate::sums;

/// Rows whose gradients of the weight are added up by one cube.
const ROWS_OF_PART: usize = 128;

#[cube]
fn inverse_rms<F: Float>(
    x: &[F],
    first: usize,
    width: usize,
    epsilon: f32,
    sums: &mut Shared<[f32]>,
    #[comptime] units: usize,
) -> f32 {
    let mut sum = f32::new(0.0f32);
    let mut column = UNIT_POS as usize;
    while column < width {
        let value = f32::cast_from(x[first + column]);
        sum += value * value;
        column += units;
    }
    let sum = sum_over_units(sum, sums, units);
    1.0f32 / (sum / f32::cast_from(width) + epsilon).sqrt()
}

/// A cube has one row.
#[cube(launch_unchecked)]
fn normed<F: Float, W: Float>(
    x: &[F],
    weight: &[W],
    out: &mut [F],
    epsilon: f32,
    #[comptime] units: usize,
    #[define(F, W)] _elements: [ElemType; 2],
) {
    let width = weight.len();
    let first = CUBE_POS * width;
    let mut sums = Shared::<[f32]>::new_slice(units);
    let inverse = inverse_rms::<F>(x, first, width, epsilon, &mut sums, units);
    let mut column = UNIT_POS as usize;
    while column < width {
        let value = f32::cast_from(x[first + column]) * inverse;
        out[first + column] = F::cast_from(value * f32::cast_from(weight[column]));
        column += units;
    }
}

/// As [`normed`], of a sum that is kept too. It is normed as it is kept: rounded.
#[cube(launch_unchecked)]
fn summed_and_normed<F: Float, W: Float>(
    x: &[F],
    y: &[F],
    weight: &[W],
    sum: &mut [F],
    out: &mut [F],
    epsilon: f32,
    #[comptime] units: usize,
    #[define(F, W)] _elements: [ElemType; 2],
) {
    let width = weight.len();
    let first = CUBE_POS * width;
    let mut parts = Shared::<[f32]>::new_slice(units);
    let mut squares = f32::new(0.0f32);
    let mut column = UNIT_POS as usize;
    while column < width {
        let at = first + column;
        let value = F::cast_from(f32::cast_from(x[at]) + f32::cast_from(y[at]));
        sum[at] = value;
        squares += f32::cast_from(value) * f32::cast_from(value);
        column += units;
    }
    let squares = sum_over_units(squares, &mut parts, units);
    let inverse = 1.0f32 / (squares / f32::cast_from(width) + epsilon).sqrt();
    // A unit reads what it has written itself.
    let mut column = UNIT_POS as usize;
    while column < width {
        let value = f32::cast_from(sum[first + column]) * inverse;
        out[first + column] = F::cast_from(value * f32::cast_from(weight[column]));
        column += units;
    }
}

/// The gradient of `x`, and `1 / rms` of each row for the gradient of the weight. A cube has one row.
#[cube(launch_unchecked)]
fn input_gradient<F: Float, W: Float>(
    x: &[F],
    weight: &[W],
    grad: &[F],
    x_grad: &mut [F],
    inverses: &mut [f32],
    epsilon: f32,
    #[comptime] units: usize,
    #[define(F, W)] _elements: [ElemType; 2],
) {
    let width = weight.len();
    let row = CUBE_POS;
    let first = row * width;
    let mut sums = Shared::<[f32]>::new_slice(units);
    let inverse = inverse_rms::<F>(x, first, width, epsilon, &mut sums, units);
    let mut along = f32::new(0.0f32);
    let mut column = UNIT_POS as usize;
    while column < width {
        let scaled = f32::cast_from(grad[first + column]) * f32::cast_from(weight[column]);
        along += scaled * f32::cast_from(x[first + column]) * inverse;
        column += units;
    }
    let along = sum_over_units(along, &mut sums, units) / f32::cast_from(width);
    let mut column = UNIT_POS as usize;
    while column < width {
        let scaled = f32::cast_from(grad[first + column]) * f32::cast_from(weight[column]);
        let value = f32::cast_from(x[first + column]) * inverse;
        x_grad[first + column] = F::cast_from((scaled - along * value) * inverse);
        column += units;
    }
    if UNIT_POS == 0 {
        inverses[row] = inverse;
    }
}

/// Sums over [`ROWS_OF_PART`] rows of the gradient of the weight. A unit has one column.
#[cube(launch_unchecked)]
fn weight_gradient_parts<F: Float>(
    x: &[F],
    grad: &[F],
    inverses: &[f32],
    parts: &mut [f32],
    width: usize,
    #[comptime] rows_of_part: usize,
    #[define(F)] _element: ElemType,
) {
    let column = ABSOLUTE_POS_X as usize;
    let part = CUBE_POS_Y as usize;
    if column < width {
        let mut sum = f32::new(0.0f32);
        let begin = part * rows_of_part;
        let end = usize::min(begin + rows_of_part, inverses.len());
        for row in begin..end {
            let at = row * width + column;
            sum += f32::cast_from(grad[at]) * f32::cast_from(x[at]) * inverses[row];
        }
        parts[part * width + column] = sum;
    }
}

/// The sums of the parts, added to what is there if `onto`. A unit has one column.
#[cube(launch_unchecked)]
fn sum_parts<F: Float>(
    parts: &[f32],
    out: &mut [F],
    #[comptime] onto: bool,
    #[define(F)] _element: ElemType,
) {
    let column = ABSOLUTE_POS;
    let width = out.len();
    if column < width {
        let mut sum = f32::new(0.0f32);
        if comptime!(onto) {
            sum = f32::cast_from(out[column]);
        }
        for part in 0..parts.len() / width {
            sum += parts[part * width + column];
        }
        out[column] = F::cast_from(sum);
    }
}

/// `x / sqrt(mean(x^2) + epsilon) * weight` of every row; `x [T, d]`, `weight [d]`.
pub fn forward(x: CubeTensor, weight: CubeTensor, epsilon: f32) -> CubeTensor {
    let [rows, width] = dims(&x);
    let out = empty(&x, [rows, width], x.dtype);
    if rows * width == 0 {
        return out;
    }
    let (client, elements) = (x.client.clone(), [element(&x), element(&weight)]);
    let units = waiting_units(&client);
    // SAFETY: a cube stays in its row, and there are as many cubes as rows.
    unsafe {
        normed::launch_unchecked(
            &client,
            CubeCount::Static(rows as u32, 1, 1),
            row_of(units),
            buffer(x),
            buffer(weight),
            buffer(out.clone()),
            epsilon,
            units,
            elements,
        );
    }
    out
}

/// `x + y`, and its [`forward`]; all of one shape `[T, d]`.
pub fn add_forward(
    x: CubeTensor,
    y: CubeTensor,
    weight: CubeTensor,
    epsilon: f32,
) -> (CubeTensor, CubeTensor) {
    let [rows, width] = dims(&x);
    let like = || empty(&x, [rows, width], x.dtype);
    let (sum, out) = (like(), like());
    if rows * width == 0 {
        return (sum, out);
    }
    let (client, elements) = (x.client.clone(), [element(&x), element(&weight)]);
    let units = waiting_units(&client);
    // SAFETY: as in `forward`.
    unsafe {
        summed_and_normed::launch_unchecked(
            &client,
            CubeCount::Static(rows as u32, 1, 1),
            row_of(units),
            buffer(x),
            buffer(y),
            buffer(weight),
            buffer(sum.clone()),
            buffer(out.clone()),
            epsilon,
            units,
            elements,
        );
    }
    (sum, out)
}

/// Gradients of [`forward`] with respect to `x` and `weight`. The second is added to `weight_sum [d]` if there is one, in place
/// if nobody else holds it; else it is of type `weight_type`.
pub fn backward(
    x: CubeTensor,
    weight: CubeTensor,
    grad: CubeTensor,
    weight_sum: Option<CubeTensor>,
    weight_type: DType,
    epsilon: f32,
) -> (CubeTensor, CubeTensor) {
    let [rows, width] = dims(&x);
    let x_grad = empty(&x, [rows, width], x.dtype);
    let onto = weight_sum.is_some();
    let weight_grad = match weight_sum {
        Some(sum) => owned(sum),
        None => sums::empty(&x, [width], weight_type),
    };
    let parts = rows.div_ceil(ROWS_OF_PART);
    let part_sums = empty(&x, [parts, width], DType::F32);
    let inverses = empty(&x, [rows], DType::F32);
    let (client, kind, weight_kind) = (x.client.clone(), element(&x), element(&weight));
    let (sum_kind, units) = (element(&weight_grad), waiting_units(&client));
    let columns = width.div_ceil(UNITS) as u32;
    if width == 0 {
        return (x_grad, weight_grad);
    }
    // SAFETY: there are as many cubes as rows, which stay in their row; then a unit stays in its column, and in the rows that
    // there are.
    unsafe {
        if rows > 0 {
            input_gradient::launch_unchecked(
                &client,
                CubeCount::Static(rows as u32, 1, 1),
                row_of(units),
                buffer(x.clone()),
                buffer(weight),
                buffer(grad.clone()),
                buffer(x_grad.clone()),
                buffer(inverses.clone()),
                epsilon,
                units,
                [kind, weight_kind],
            );
            weight_gradient_parts::launch_unchecked(
                &client,
                CubeCount::Static(columns, parts as u32, 1),
                row_of_units(),
                buffer(x),
                buffer(grad),
                buffer(inverses),
                buffer(part_sums.clone()),
                width,
                ROWS_OF_PART,
                kind,
            );
        }
        sum_parts::launch_unchecked(
            &client,
            CubeCount::Static(columns, 1, 1),
            row_of_units(),
            buffer(part_sums),
            weight_grad.clone().into_buffer_arg(),
            onto,
            sum_kind,
        );
    }
    (x_grad, weight_grad)
}
