//! Rotary embedding.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{buffer, cubes_for, dims, element, empty, row_of_units};

/// A unit turns one pair `(i, i + half)` of a head.
#[cube(launch_unchecked)]
fn turn<F: Float>(
    x: &[F],
    cos: &[f32],
    sin: &[f32],
    out: &mut [F],
    half: usize,
    pairs_of_row: usize,
    direction: f32,
    #[define(F)] _element: ElemType,
) {
    let pair = ABSOLUTE_POS;
    if 2 * pair < out.len() {
        let row = pair / pairs_of_row;
        let within = pair % half;
        let head = pair / half;
        let (first, second) = (head * 2 * half + within, head * 2 * half + half + within);
        let angle = row * half + within;
        let (a, b) = (f32::cast_from(x[first]), f32::cast_from(x[second]));
        let (cosine, sine) = (cos[angle], direction * sin[angle]);
        out[first] = F::cast_from(a * cosine - b * sine);
        out[second] = F::cast_from(b * cosine + a * sine);
    }
}

/// Halves of every head turned against each other. `x [T, heads * 2 * half]`; `cos`, `sin` `[T, half]` in float32. With `back`
/// they are turned by the opposite angles.
pub fn rotate(x: CubeTensor, cos: CubeTensor, sin: CubeTensor, back: bool) -> CubeTensor {
    let out = empty(&x, x.meta.shape().clone(), x.dtype);
    let [_, width] = dims(&x);
    let [_, half] = dims(&cos);
    let pairs = out.meta.num_elements() / 2;
    if pairs == 0 {
        return out;
    }
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: a unit whose pair lies in `out` reads a row of `cos` and `sin` that `x` has as well.
    unsafe {
        turn::launch_unchecked(
            &client,
            cubes_for(&client, pairs),
            row_of_units(),
            buffer(x),
            buffer(cos),
            buffer(sin),
            buffer(out.clone()),
            half,
            width / 2,
            if back { -1.0 } else { 1.0 },
            element,
        );
    }
    out
}
