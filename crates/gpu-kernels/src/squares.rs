//! The sum of the squares of many tensors, which gradients are clipped by.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{buffer, dims, element, owned, row_of, sum_over_units, waiting_units};

/// A cube adds up the rows of units that are `parts` apart.
#[cube(launch_unchecked)]
fn square_sums<F: Float>(
    values: &[F],
    sums: &mut [f32],
    begin: usize,
    #[comptime] units: usize,
    #[comptime] parts: usize,
    #[define(F)] _element: ElemType,
) {
    let mut sum = f32::new(0.0f32);
    let mut i = ABSOLUTE_POS;
    while i < values.len() {
        let value = f32::cast_from(values[i]);
        sum += value * value;
        i += comptime!(units * parts);
    }
    let mut shared = Shared::<[f32]>::new_slice(units);
    let sum = sum_over_units(sum, &mut shared, units);
    if UNIT_POS == 0 {
        sums[begin + CUBE_POS] = sum;
    }
}

/// Puts the sums of the squares of parts of `values [n]` into one row of `sums [rows, parts]`, in float32. No squares are kept.
///
/// # Panics
///
/// Where `sums` has no such row.
pub fn put_sums(sums: CubeTensor, values: CubeTensor, row: usize) -> CubeTensor {
    let sums = owned(sums);
    let [rows, parts] = dims(&sums);
    assert!(row < rows, "row {row} of {rows}");
    let (client, kind) = (values.client.clone(), element(&values));
    let units = waiting_units(&client);
    // SAFETY: units stay within the values, and a cube has the place of its own sum.
    unsafe {
        square_sums::launch_unchecked(
            &client,
            CubeCount::Static(parts as u32, 1, 1),
            row_of(units),
            buffer(values),
            sums.clone().into_buffer_arg(),
            row * parts,
            units,
            parts,
            kind,
        );
    }
    sums
}
